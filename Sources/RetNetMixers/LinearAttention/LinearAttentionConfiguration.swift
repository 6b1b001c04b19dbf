/// Sizes and choices of a linear attention layer; the Linear Transformer's unless told otherwise.
public struct LinearAttentionConfiguration: Sendable, Equatable {
    /// h, the number of heads.
    public var headCount: Int
    /// The width of one head's queries, keys and values.
    public var headSize: Int
    /// φ.
    public var featureMap: FeatureMap
    /// How outputs keep their scale.
    public var normalizer: LinearAttentionNormalizer
    /// How queries and keys are rotated by position, in the numerator only.
    public var rotation: RotationKind
    /// Added to the denominator, or to the mean square of the RMS norm.
    public var epsilon: Double
    /// Whether the four projections have biases.
    public var biases: Bool

    /// The Linear Transformer with heads of a width.
    public init(
        headCount: Int, headSize: Int, featureMap: FeatureMap = .elu,
        normalizer: LinearAttentionNormalizer = .sum, rotation: RotationKind = .none, epsilon: Double = 1e-6,
        biases: Bool = false
    ) {
        self.headCount = headCount
        self.headSize = headSize
        self.featureMap = featureMap
        self.normalizer = normalizer
        self.rotation = rotation
        self.epsilon = epsilon
        self.biases = biases
    }

    /// The width of all heads together.
    public var width: Int { headCount * headSize }
}
