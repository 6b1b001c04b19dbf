/// Sizes and choices of one layer of gated linear attention: a gate for every key channel and position.
public struct GatedLinearAttentionConfiguration: Sendable, Equatable {
    /// H, the number of heads.
    public var headCount: Int
    /// The width of one head's queries and keys.
    public var keySize: Int
    /// The width of one head's values.
    public var valueSize: Int
    /// The rank of the matrix that makes the gates' logits.
    public var gateRank: Int
    /// What ln σ of the logits is divided by: at 16 a fresh gate keeps 96 % from one position to the next.
    public var gateDivisor: Double
    /// The norm over the values of one head at one position.
    public var headNorm: HeadNormConfiguration
    /// The activation of the gate on the output, or none for a layer without one.
    public var gate: GateActivation

    /// A layer as in the paper (arXiv 2312.06635), unless told otherwise.
    public init(
        headCount: Int, keySize: Int, valueSize: Int, gateRank: Int = 16, gateDivisor: Double = 16,
        headNorm: HeadNormConfiguration = .init(affine: .shared, epsilon: 1e-5), gate: GateActivation = .swish
    ) {
        self.headCount = headCount
        self.keySize = keySize
        self.valueSize = valueSize
        self.gateRank = gateRank
        self.gateDivisor = gateDivisor
        self.headNorm = headNorm
        self.gate = gate
    }

    /// The published proportions: keys of half the width, values of the whole, about 4 d² parameters.
    public init(width: Int, headCount: Int) {
        self.init(headCount: headCount, keySize: width / 2 / headCount, valueSize: width / headCount)
    }
}
