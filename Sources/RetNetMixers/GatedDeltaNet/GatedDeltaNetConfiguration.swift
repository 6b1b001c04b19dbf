/// Sizes and choices of one layer with the delta rule: DeltaNet, and with decay and output gate Gated DeltaNet.
public struct GatedDeltaNetConfiguration: Sendable, Equatable {
    /// H, the number of heads.
    public var headCount: Int
    /// The width of one head's queries and keys.
    public var keySize: Int
    /// The width of one head's values.
    public var valueSize: Int
    /// The taps of the convolutions over queries, keys and values; 1 for none.
    public var convolutionWidth: Int
    /// The upper end of the strengths β: with 1 the memory along a key can be erased, with 2 also turned around.
    ///
    /// Beyond 1 transitions have negative eigenvalues, without which parity cannot be tracked (arXiv 2411.12537).
    public var betaRange: Double
    /// Whether heads also forget everything at a data-dependent rate.
    public var decays: Bool
    /// The norm over the values of one head at one position.
    public var headNorm: HeadNormConfiguration
    /// The activation of the gate on the output, or none for a layer without one.
    public var gate: GateActivation

    /// A layer of Gated DeltaNet (arXiv 2412.06464), unless told otherwise.
    public init(
        headCount: Int, keySize: Int, valueSize: Int, convolutionWidth: Int = 4, betaRange: Double = 1,
        decays: Bool = true, headNorm: HeadNormConfiguration = .init(affine: .shared, epsilon: 1e-5),
        gate: GateActivation = .swish
    ) {
        self.headCount = headCount
        self.keySize = keySize
        self.valueSize = valueSize
        self.convolutionWidth = convolutionWidth
        self.betaRange = betaRange
        self.decays = decays
        self.headNorm = headNorm
        self.gate = gate
    }

    /// The published proportions: keys of 0.75 and values of 1.5 times the width, about 6 d² parameters.
    public init(width: Int, headCount: Int, betaRange: Double = 1) {
        let keySize = max(1, 3 * width / (4 * headCount))
        self.init(headCount: headCount, keySize: keySize, valueSize: 2 * keySize, betaRange: betaRange)
    }

    /// Plain DeltaNet (arXiv 2406.06484) in its proportions: no decay and no gate, about 4 d² parameters.
    public static func deltaNet(width: Int, headCount: Int, betaRange: Double = 1) -> Self {
        Self(
            headCount: headCount, keySize: width / headCount, valueSize: width / headCount,
            betaRange: betaRange, decays: false, gate: .none)
    }
}
