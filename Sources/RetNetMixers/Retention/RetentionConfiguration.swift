/// Sizes and choices of one gated multi-scale retention layer.
public struct RetentionConfiguration: Sendable, Equatable {
    /// h, the number of heads.
    public var headCount: Int
    /// The number of key and value heads, which divides ``headCount``; nil means as many.
    public var keyValueHeadCount: Int?
    /// a, the width of one head's queries and keys.
    public var keySize: Int
    /// b, the width of one head's values.
    public var valueSize: Int
    /// How fast each head forgets.
    public var decay: DecaySchedule
    /// How queries and keys are rotated by position.
    public var rotation: RotationKind
    /// By what positive numbers the scores are divided before the head norm.
    public var normalization: ScoreNormalization
    /// The norm over the values of one head at one position.
    public var headNorm: HeadNormConfiguration
    /// The activation of the gate, or none for a layer without a gate.
    public var gate: GateActivation
    /// Whether the five projections have biases.
    public var biases: Bool

    /// A layer of RetNet as torchscale builds it, unless told otherwise.
    public init(
        headCount: Int, keyValueHeadCount: Int? = nil, keySize: Int, valueSize: Int,
        decay: DecaySchedule = .standard, rotation: RotationKind = .interleaved,
        normalization: ScoreNormalization = .decay, headNorm: HeadNormConfiguration = .init(),
        gate: GateActivation = .swish, biases: Bool = false
    ) {
        self.headCount = headCount
        self.keyValueHeadCount = keyValueHeadCount
        self.keySize = keySize
        self.valueSize = valueSize
        self.decay = decay
        self.rotation = rotation
        self.normalization = normalization
        self.headNorm = headNorm
        self.gate = gate
        self.biases = biases
    }
}
