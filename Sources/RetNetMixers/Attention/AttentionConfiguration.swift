/// Sizes and choices of one causal self-attention layer.
public struct AttentionConfiguration: Sendable, Equatable {
    /// h, the number of query heads.
    public var headCount: Int
    /// The number of key and value heads, which divides ``headCount``; nil means as many, 1 is multi-query.
    public var keyValueHeadCount: Int?
    /// The width of one head's queries, keys and values.
    public var headSize: Int
    /// How queries and keys are rotated by position.
    public var rotation: AttentionRotation
    /// The base of the rotation's angles.
    public var rotaryBase: Double
    /// The number of positions over which xPos damps pair j by ζⱼ = (2j/A + 0.4)/1.4; nil for no damping.
    ///
    /// The paper and its implementations take 512. Source: A Length-Extrapolatable Transformer (arXiv 2212.10554).
    public var xPosScaleBase: Double?
    /// Whether the four projections have biases.
    public var biases: Bool

    /// Multi-head attention with rotary positions, unless told otherwise.
    public init(
        headCount: Int, keyValueHeadCount: Int? = nil, headSize: Int,
        rotation: AttentionRotation = .interleaved, rotaryBase: Double = 10_000, xPosScaleBase: Double? = nil,
        biases: Bool = false
    ) {
        self.headCount = headCount
        self.keyValueHeadCount = keyValueHeadCount
        self.headSize = headSize
        self.rotation = rotation
        self.rotaryBase = rotaryBase
        self.xPosScaleBase = xPosScaleBase
        self.biases = biases
    }

    /// G, the number of key and value heads.
    var groupCount: Int { keyValueHeadCount ?? headCount }
}
