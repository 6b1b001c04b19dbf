/// Sizes and choices of one gated retention layer: retention whose decay depends on the data.
public struct GatedRetentionConfiguration: Sendable, Equatable {
    /// H, the number of heads.
    public var headCount: Int
    /// The width of one head's queries and keys.
    public var keySize: Int
    /// The width of one head's values.
    public var valueSize: Int
    /// What ln σ of the gate's logits is divided by: at 16 a fresh gate keeps 96 % from one position to the next.
    public var gateDivisor: Double
    /// How queries and keys are rotated by position.
    public var rotation: RotationKind
    /// The norm over the values of one head at one position.
    public var headNorm: HeadNormConfiguration
    /// The activation of the gate on the output, or none for a layer without one.
    public var gate: GateActivation

    /// A layer as in the lower half of YOCO (arXiv 2405.05254), unless told otherwise.
    public init(
        headCount: Int, keySize: Int, valueSize: Int, gateDivisor: Double = 16,
        rotation: RotationKind = .interleaved, headNorm: HeadNormConfiguration = .init(),
        gate: GateActivation = .swish
    ) {
        self.headCount = headCount
        self.keySize = keySize
        self.valueSize = valueSize
        self.gateDivisor = gateDivisor
        self.rotation = rotation
        self.headNorm = headNorm
        self.gate = gate
    }

    /// The published proportions: heads share the width equally, 5 d² parameters.
    public init(width: Int, headCount: Int) {
        self.init(headCount: headCount, keySize: width / headCount, valueSize: width / headCount)
    }
}
