import Foundation
import RetNetSettings

/// The architecture of a T5 encoder-decoder: sizes, and the differences between v1.0 and v1.1.
///
/// Sources: Raffel et al., arXiv 1910.10683; the T5 v1.1 checkpoints; Hugging Face's `T5Config`.
public struct T5Configuration: Sendable, Equatable {
    /// Rows of the embedding: 32,000 pieces and 100 sentinels, padded to 32,128 in the public models.
    public var vocabularySize: Int
    /// Width of the layers (`d_model`).
    public var hiddenSize: Int
    /// Attention heads per layer (`num_heads`).
    public var headCount: Int
    /// Channels per head (`d_kv`); all heads together need not have the width of the layer.
    public var keySize: Int
    /// Inner width of feed-forwards (`d_ff`).
    public var innerSize: Int
    /// Layers of the encoder (`num_layers`).
    public var encoderLayerCount: Int
    /// Layers of the decoder (`num_decoder_layers`).
    public var decoderLayerCount: Int
    /// Kind of the feed-forwards: relu in v1.0, gated-gelu in v1.1.
    public var feedForward: FeedForwardKind
    /// True if the embedding is the output matrix too, as in v1.0.
    public var tiedOutput: Bool
    /// True if hidden states are multiplied by hiddenSize^(-1/2) before the output matrix, as in v1.0.
    public var scaledOutput: Bool
    /// Buckets of relative positions.
    public var bucketCount: Int
    /// Distance from which on all positions share a bucket.
    public var maximumDistance: Int
    /// Constant added to the mean square in norms.
    public var epsilon: Double
    /// Dropout probability in training, at all six places of T5.
    public var dropout: Double
    /// True if all positions of a row share one dropout mask, as in T5X; Hugging Face draws one per position.
    public var sharesDropoutMasks: Bool
    /// Padding token.
    public var paddingToken: Int
    /// End-of-text token.
    public var endToken: Int
    /// First input token of the decoder.
    public var startToken: Int
    /// Several streams of hidden states, or layers of the encoder that see fewer tokens; nil for a plain T5.
    ///
    /// Applies to both sides, except for the reduction of the sequence: to the encoder alone, as in the paper.
    public var altUp: AltUpConfiguration?
    /// Experts in feed-forwards; nil for none.
    public var experts: T5ExpertsConfiguration?

    /// T5 v1.0 small by default.
    public init(
        vocabularySize: Int = 32_128, hiddenSize: Int = 512, headCount: Int = 8, keySize: Int = 64,
        innerSize: Int = 2048, encoderLayerCount: Int = 6, decoderLayerCount: Int? = nil,
        feedForward: FeedForwardKind = .relu, tiedOutput: Bool = true, scaledOutput: Bool? = nil,
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

    /// Width of all heads together.
    public var attentionSize: Int { headCount * keySize }
}

extension T5Configuration: DeclaredSettings {
    /// T5 v1.0 small.
    public static let standard = T5Configuration()

    /// All settings.
    public static var declarations: [Setting<Self>] {
        let tokens = 0...1 << 24
        return [
            .int(
                "vocabulary_size", \.vocabularySize, in: 1...1 << 24, isRequired: true,
                "Rows of the embedding."),
            .int("hidden_size", \.hiddenSize, in: 1...1 << 18, isRequired: true, "Width of the layers."),
            .int("head_count", \.headCount, in: 1...1 << 12, isRequired: true, "Attention heads per layer."),
            .int("key_size", \.keySize, in: 1...1 << 12, isRequired: true, "Channels per head."),
            .int(
                "inner_size", \.innerSize, in: 1...1 << 22, isRequired: true, "Inner width of feed-forwards."),
            .int(
                "encoder_layer_count", \.encoderLayerCount, in: 1...10_000, isRequired: true,
                "Layers of the encoder."),
            .int(
                "decoder_layer_count", \.decoderLayerCount, in: 1...10_000,
                default: { $0.encoderLayerCount },
                "Layers of the decoder, by default as many as the encoder's."),
            .choice("feed_forward", \.feedForward, "Kind of the feed-forwards."),
            .bool("tied_output", \.tiedOutputWithDefault, "Use of the embedding as output matrix."),
            .bool(
                "scaled_output", \.scaledOutput,
                "Division of hidden states by the root of their width before the output matrix; by default as"
                    + " tied_output."),
            .int("bucket_count", \.bucketCount, in: 4...1 << 16, "Buckets of relative positions."),
            .int(
                "maximum_distance", \.maximumDistance, in: 2...1 << 30,
                "Distance from which on all positions share a bucket."),
            .double(
                "epsilon", \.epsilon, in: SettingsRange.positiveFraction,
                "Constant added to the mean square in norms."),
            .double("dropout", \.dropout, in: SettingsRange.belowOne, "Dropout probability in training."),
            .bool(
                "shares_dropout_masks", \.sharesDropoutMasks,
                "One dropout mask for all positions of a row, as in T5X."),
            .int("padding_token", \.paddingToken, in: tokens, "Padding token."),
            .int("end_token", \.endToken, in: tokens, "End-of-text token."),
            .int("start_token", \.startToken, in: tokens, "First input token of the decoder."),
            .object("altup", \.altUp), .object("experts", \.experts),
        ]
    }

    /// The output's tie, whose change sets the default of its scaling.
    private var tiedOutputWithDefault: Bool {
        get { tiedOutput }
        set { (tiedOutput, scaledOutput) = (newValue, newValue) }
    }

    /// Reports settings that are allowed one by one but not together.
    public func reportContradictions(to reader: SettingsReader) {
        if bucketCount % 4 != 0 {
            reader.reportContradiction(
                "bucket_count", "it must be a multiple of 4: half of the buckets of each direction are exact")
        }
        if maximumDistance <= bucketCount / 2 {
            reader.reportContradiction(
                "maximum_distance", "it must be greater than half of bucket_count (\(bucketCount))")
        }
        for (key, token) in [
            ("padding_token", paddingToken), ("end_token", endToken), ("start_token", startToken),
        ] where token >= vocabularySize {
            reader.reportContradiction(key, "it must be below vocabulary_size (\(vocabularySize))")
        }
        reportAltUpContradictions(reader)
        guard let experts else { return }
        let layers = max(
            experts.sides.hasEncoder ? encoderLayerCount : 0, experts.sides.hasDecoder ? decoderLayerCount : 0
        )
        if experts.firstLayer >= layers {
            reader.optionalObject("experts")?.reportContradiction(
                "period", "no layer would have experts: a side has \(layers)")
        }
    }

    private func reportAltUpContradictions(_ reader: SettingsReader) {
        guard let altUp, let own = reader.optionalObject("altup") else { return }
        if altUp.kind == .sum, tiedOutput {
            own.reportContradiction(
                "kind",
                "the summed embedding of width \(altUp.embeddingWidth(hiddenSize: hiddenSize)) cannot be the"
                    + " output matrix too: take tied_output: false")
        }
        guard let sequence = altUp.sequence, let place = own.optionalObject("sequence") else { return }
        if let last = sequence.lastLayer, last >= encoderLayerCount {
            place.reportContradiction(
                "last_layer",
                "the last layer of an encoder of \(encoderLayerCount) is \(encoderLayerCount - 1)")
        }
        if sequence.positions == .anchors {
            place.reportContradiction(
                "positions", "T5's layers measure distances in tokens: take positions: tokens")
        }
    }

    /// The settings that only this package has, under their names in both forms of configuration files.
    var own: SettingsTree {
        var object: SettingsObject = [:]
        if let altUp { object["altup"] = altUp.settings }
        if let experts { object["experts"] = experts.settings }
        return .object(object)
    }
}

/// The buckets of T5's relative positions (Raffel et al., arXiv 1910.10683, section 2.1).
public enum T5RelativeBuckets {
    /// Returns the bucket of `relative` = key position - query position.
    ///
    /// Half of the buckets of a direction hold single distances; the others grow geometrically up to
    /// `maximumDistance`. In bidirectional attention the upper half of all buckets is for keys to the right;
    /// otherwise these share bucket 0 with distance 0.
    public static func bucket(
        relative: Int, bidirectional: Bool, bucketCount: Int = 32, maximumDistance: Int = 128
    ) -> Int {
        guard bidirectional else {
            return distanceBucket(max(0, -relative), count: bucketCount, maximumDistance: maximumDistance)
        }
        let half = bucketCount / 2
        return (relative > 0 ? half : 0)
            + distanceBucket(abs(relative), count: half, maximumDistance: maximumDistance)
    }

    /// Returns the bucket of a distance ≥ 0 among those of one direction.
    private static func distanceBucket(_ distance: Int, count: Int, maximumDistance: Int) -> Int {
        let exact = max(1, count / 2)
        guard distance >= exact else { return distance }
        let steps = Double(count - exact)
        let position = log(Double(distance) / Double(exact)) / log(Double(maximumDistance) / Double(exact))
        // Exact powers lie on a boundary: rounding must not drop them into the bucket below.
        return min(count - 1, exact + Int((position * steps + 1e-9).rounded(.down)))
    }
}
