/// The architecture of a T5 encoder-decoder: sizes, and what differs between v1.0 and v1.1.
///
/// Sources: Raffel et al., arXiv 1910.10683; the T5 v1.1 checkpoints; Hugging Face's `T5Config`.
public struct T5Configuration: Sendable, Equatable {
    /// Rows of the embedding: 32,000 pieces and 100 sentinels, padded to 32,128 in the public models.
    public var vocabularySize: Int
    /// The width of layers (`d_model`).
    public var hiddenSize: Int
    /// Attention heads of every layer (`num_heads`).
    public var headCount: Int
    /// Channels of one head (`d_kv`); heads together need not have the width of the layer.
    public var keySize: Int
    /// The inner width of feed-forwards (`d_ff`).
    public var innerSize: Int
    /// Layers of the encoder (`num_layers`).
    public var encoderLayerCount: Int
    /// Layers of the decoder (`num_decoder_layers`).
    public var decoderLayerCount: Int
    /// The kind of the feed-forwards: relu in v1.0, gated-gelu in v1.1.
    public var feedForward: T5FeedForwardKind
    /// Whether the embedding is the output matrix too, as in v1.0.
    public var tiedOutput: Bool
    /// Whether hidden states are multiplied by hiddenSize^(-1/2) before the output matrix, as in v1.0.
    public var scaledOutput: Bool
    /// Buckets of relative positions.
    public var bucketCount: Int
    /// The distance from which on all positions share a bucket.
    public var maximumDistance: Int
    /// Added to the mean square in norms.
    public var epsilon: Double
    /// The probability of dropping a value in training, in all six places of T5.
    public var dropout: Double
    /// Whether one dropout mask serves all positions of a row, as in T5X; Hugging Face draws every value.
    public var sharesDropoutMasks: Bool
    /// The token that fills short rows.
    public var paddingToken: Int
    /// The token that ends a text.
    public var endToken: Int
    /// The token that the decoder starts with.
    public var startToken: Int
    /// Several blocks a token, or layers of the encoder that see fewer tokens; nil for a plain T5.
    ///
    /// Holds for both sides, but the reduction of the sequence for the encoder alone, as in the paper.
    public var altUp: AltUpConfiguration?
    /// Experts in feed-forwards; nil for none.
    public var experts: T5ExpertsConfiguration?

    /// T5 v1.0 small, unless told otherwise.
    public init(
        vocabularySize: Int = 32_128, hiddenSize: Int = 512, headCount: Int = 8, keySize: Int = 64,
        innerSize: Int = 2048, encoderLayerCount: Int = 6, decoderLayerCount: Int? = nil,
        feedForward: T5FeedForwardKind = .relu, tiedOutput: Bool = true, scaledOutput: Bool? = nil,
        bucketCount: Int = 32, maximumDistance: Int = 128, epsilon: Double = 1e-6, dropout: Double = 0.1,
        sharesDropoutMasks: Bool = true, paddingToken: Int = 0, endToken: Int = 1, startToken: Int = 0,
        altUp: AltUpConfiguration? = nil, experts: T5ExpertsConfiguration? = nil
    ) {
        self.vocabularySize = vocabularySize
        self.hiddenSize = hiddenSize
        self.headCount = headCount
        self.keySize = keySize
        self.innerSize = innerSize
        self.encoderLayerCount = encoderLayerCount
        self.decoderLayerCount = decoderLayerCount ?? encoderLayerCount
        self.feedForward = feedForward
        self.tiedOutput = tiedOutput
        self.scaledOutput = scaledOutput ?? tiedOutput
        self.bucketCount = bucketCount
        self.maximumDistance = maximumDistance
        self.epsilon = epsilon
        self.dropout = dropout
        self.sharesDropoutMasks = sharesDropoutMasks
        self.paddingToken = paddingToken
        self.endToken = endToken
        self.startToken = startToken
        self.altUp = altUp
        self.experts = experts
    }

    /// The width of all heads together.
    public var attentionSize: Int { headCount * keySize }
}
