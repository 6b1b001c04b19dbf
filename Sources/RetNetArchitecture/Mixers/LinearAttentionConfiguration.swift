import RetNetSettings

/// Sizes and choices of a linear attention layer; the Linear Transformer's by default.
public struct LinearAttentionConfiguration: Sendable, Equatable {
    /// h, the number of heads.
    public var headCount: Int
    /// The width of one head's queries, keys and values.
    public var headSize: Int
    /// φ.
    public var featureMap: FeatureMap
    /// The normalization of the outputs.
    public var normalizer: LinearAttentionNormalizer
    /// The rotation of queries and keys by position, in the numerator only.
    public var rotation: RotationKind
    /// Added to the denominator, or to the mean square of the RMS norm.
    public var epsilon: Double
    /// True if the four projections have biases.
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

/// The map of queries and keys to features, whose products take the place of softmax attention's exponentials.
public enum FeatureMap: String, Sendable, CaseIterable {
    /// elu(x) + 1: x + 1 above 0, e^x below. The Linear Transformer's; always positive.
    case elu
    /// max(x, 0).
    case relu
    /// x itself.
    case identity
}

/// The normalization of linear attention's outputs.
public enum LinearAttentionNormalizer: String, Sendable, CaseIterable {
    /// Divided by φ(q)·Σφ(k): the Linear Transformer.
    case sum
    /// Not divided; an RMS norm over each head's values instead. Retention without decay.
    case rms
}

extension LinearAttentionConfiguration: DeclaredSettings {
    /// One head; count and size must be given.
    public static let standard = LinearAttentionConfiguration(headCount: 1, headSize: 1)

    /// All settings.
    public static var declarations: [Setting<Self>] {
        [
            .int("head_count", \.headCount, in: MixerSizes.heads, isRequired: true, "Number of heads."),
            .int(
                "head_size", \.headSize, in: MixerSizes.heads, isRequired: true,
                "Width of one head's queries, keys and values."),
            .choice("feature_map", \.featureMap, "Feature map of queries and keys."),
            .choice("normalizer", \.normalizer, "Normalization of the outputs."),
            .choice(
                "rotation", \.rotation, "Rotation of queries and keys by position, in the numerator only."),
            .double(
                "epsilon", \.epsilon, in: 0...1,
                "Added to the denominator, or to the mean square of the RMS norm."),
            .bool("biases", \.biases, "Biases in the four projections."),
        ]
    }

    /// Reports heads that are too wide or do not fit the rotation, and sums that may cross zero.
    public func reportContradictions(to reader: SettingsReader) {
        reader.reportWidth("head_size", headCount: headCount, size: headSize)
        reader.reportOddSize("head_size", headSize, rotation: rotation.rawValue)
        if normalizer == .sum, featureMap == .identity {
            reader.reportContradiction(
                "feature_map",
                "the normalizer 'sum' divides by a sum of features, which 'identity' lets cross zero;"
                    + " use the feature map 'elu' or the normalizer 'rms'")
        }
    }
}

extension LinearAttentionConfiguration: MixerSpecification {
    /// ``MixerConfiguration/linearAttention(_:)``.
    public var configuration: MixerConfiguration { .linearAttention(self) }

    /// The heads.
    public var dividedCounts: [(setting: String, count: Int)]? {
        [("head_count", headCount)]
    }

    /// Returns the part with an equal number of heads.
    public func divided(between rankCount: Int) -> Self {
        var result = self
        result.headCount /= rankCount
        return result
    }

    /// S and, with the normalizer `sum`, z: h · a² + h · a.
    public var stateTensors: [StateTensor] {
        [StateTensor("memory", [headCount, headSize, headSize])]
            + (normalizer == .sum ? [StateTensor("key_sum", [headCount, headSize])] : [])
    }

    /// 4 h a² for reading and updating S, and 3 h a for z.
    public func recurrentFLOPs(position: Int) -> Int {
        headCount * headSize * (4 * headSize + (normalizer == .sum ? 3 : 0))
    }

    /// As retention with keys and values of one width: 4 C a h + 4 a² h, and 3 h a for z.
    public func forwardFLOPsPerToken(chunkLength: Int) -> Int {
        4 * MixerCosts.bounded(chunkLength) * width + recurrentFLOPs(position: 0)
    }

    /// As retention with keys and values of one width: 10 C a h + 8 a² h; states computed again cost 2 a² h more.
    public func backwardFLOPsPerToken(chunkLength: Int, recomputesStates: Bool) -> Int {
        MixerCosts.backward(
            chunkLength, headCount: headCount, keySize: headSize, valueSize: headSize,
            recomputesStates: recomputesStates)
    }
}
