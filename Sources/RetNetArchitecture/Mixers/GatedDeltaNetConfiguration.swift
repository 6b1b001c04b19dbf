import RetNetSettings

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
    /// The upper bound of β: up to 1 the state along a key can be erased, up to 2 its sign can be reversed.
    ///
    /// Beyond 1 transitions have negative eigenvalues, without which parity cannot be tracked (arXiv 2411.12537).
    public var betaRange: Double
    /// True if the whole state of a head also decays at a data-dependent rate.
    public var decays: Bool
    /// The norm over the values of one head at one position.
    public var headNorm: HeadNormConfiguration
    /// The activation of the gate on the output, or none for a layer without one.
    public var gate: GateActivation

    /// A layer of Gated DeltaNet (arXiv 2412.06464) by default.
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

extension GatedDeltaNetConfiguration: DeclaredSettings {
    /// One head; count and sizes must be given.
    public static let standard = GatedDeltaNetConfiguration(headCount: 1, keySize: 1, valueSize: 1)

    /// All settings.
    public static var declarations: [Setting<Self>] {
        [
            .int("head_count", \.headCount, in: MixerSizes.heads, isRequired: true, "Number of heads."),
            .int(
                "key_size", \.keySize, in: MixerSizes.heads, isRequired: true,
                "Width of one head's queries and keys."),
            .int(
                "value_size", \.valueSize, in: MixerSizes.heads, isRequired: true,
                "Width of one head's values."),
            .int(
                "convolution_width", \.convolutionWidth, in: MixerSizes.taps,
                "Taps of the convolutions over queries, keys and values; 1 for none."),
            .double(
                "beta_range", \.betaRange, in: Double.leastNonzeroMagnitude...2,
                "Upper bound of beta, the share of a key's state that a write replaces."),
            .bool("decays", \.decays, "Data-dependent decay of the state, one number per head."),
            .headNorm(\.headNorm),
            .choice("gate", \.gate, "Activation of the gate on the output; none for a layer without one."),
        ]
    }

    /// Reports heads that are too wide together.
    public func reportContradictions(to reader: SettingsReader) {
        reader.reportWidth("key_size", headCount: headCount, size: keySize)
        reader.reportWidth("value_size", headCount: headCount, size: valueSize)
    }
}

extension GatedDeltaNetConfiguration: MixerSpecification {
    /// ``MixerConfiguration/gatedDeltaNet(_:)``.
    public var configuration: MixerConfiguration { .gatedDeltaNet(self) }

    /// The projections with convolutions: their names and widths.
    package var convolved: [(name: String, size: Int)] {
        [("query", headCount * keySize), ("key", headCount * keySize), ("value", headCount * valueSize)]
    }

    package var layout: MatrixStateLayout {
        MatrixStateLayout(
            mixer: "gated_delta_net", matrix: [headCount, keySize, valueSize],
            rings: convolutionWidth > 1
                ? convolved.map { ("\($0.name)_ring", [convolutionWidth - 1, $0.size]) } : [])
    }

    /// Chunks of 64, best for the system to be solved.
    public var trainingForm: MixerForm { .chunkwise(MixerCosts.deltaChunkLength) }

    private var matrixSize: Int { headCount * keySize * valueSize }
    private var convolutionFLOPs: Int {
        convolutionWidth > 1 ? 2 * convolutionWidth * headCount * (2 * keySize + valueSize) : 0
    }

    /// H · K · V, and the rings of the convolutions.
    public var stateTensors: [StateTensor] { layout.tensors }

    /// 6 · H · K · V for querying, writing and reading the state, and the convolutions.
    public func recurrentFLOPs(position: Int) -> Int { 6 * matrixSize + convolutionFLOPs }

    /// 2C(2K+1.5V)H + 6KVH: scores of keys and queries, half a square to solve, and the written values.
    public func forwardFLOPsPerToken(chunkLength: Int) -> Int {
        let chunk = min(MixerCosts.bounded(chunkLength), MixerCosts.deltaChunkLength)
        return chunk * headCount * (4 * keySize + 3 * valueSize) + 6 * matrixSize + convolutionFLOPs
    }

    /// 2C(7K+3.5V)H + 14KVH: twice the forward pass, and its scores again.
    public func backwardFLOPsPerToken(chunkLength: Int, recomputesStates: Bool) -> Int {
        let chunk = min(MixerCosts.bounded(chunkLength), MixerCosts.deltaChunkLength)
        return chunk * headCount * (14 * keySize + 7 * valueSize)
            + (recomputesStates ? 16 : 14) * matrixSize + 2 * convolutionFLOPs
    }
}
