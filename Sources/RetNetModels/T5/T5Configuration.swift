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

extension T5Configuration: SettingsRepresentable {
    /// Reads the sizes, and all other settings with the defaults of the initializer.
    public init(reading reader: SettingsReader) {
        let plain = T5Configuration()
        let vocabularySize = reader.int("vocabulary_size", in: 1...1 << 24)
        let tiedOutput = reader.bool("tied_output", default: plain.tiedOutput)
        let encoderLayerCount = reader.int("encoder_layer_count", in: 1...10_000)
        func token(_ key: String, _ standard: Int) -> Int {
            reader.int(key, in: 0...1 << 24, default: standard)
        }
        self.init(
            vocabularySize: vocabularySize,
            hiddenSize: reader.int("hidden_size", in: 1...1 << 18),
            headCount: reader.int("head_count", in: 1...1 << 12),
            keySize: reader.int("key_size", in: 1...1 << 12),
            innerSize: reader.int("inner_size", in: 1...1 << 22),
            encoderLayerCount: encoderLayerCount,
            decoderLayerCount: reader.int("decoder_layer_count", in: 1...10_000, default: encoderLayerCount),
            feedForward: reader.enumeration("feed_forward", default: plain.feedForward),
            tiedOutput: tiedOutput, scaledOutput: reader.bool("scaled_output", default: tiedOutput),
            bucketCount: reader.int("bucket_count", in: 4...1 << 16, default: plain.bucketCount),
            maximumDistance: reader.int("maximum_distance", in: 2...1 << 30, default: plain.maximumDistance),
            epsilon: reader.double("epsilon", in: SettingsRange.positiveFraction, default: plain.epsilon),
            dropout: reader.double("dropout", in: SettingsRange.belowOne, default: plain.dropout),
            sharesDropoutMasks: reader.bool("shares_dropout_masks", default: plain.sharesDropoutMasks),
            paddingToken: token("padding_token", plain.paddingToken),
            endToken: token("end_token", plain.endToken),
            startToken: token("start_token", plain.startToken),
            altUp: reader.optionalObject("altup").map { AltUpConfiguration(reading: $0) },
            experts: reader.optionalObject("experts").map { T5ExpertsConfiguration(reading: $0) })
        reportContradictions(reader)
    }

    /// Reports settings that are allowed one by one but not together.
    private func reportContradictions(_ reader: SettingsReader) {
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
        if experts.period > layers {
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

    /// All settings under their names in configuration files.
    public var settings: SettingsTree {
        let plain: SettingsTree = [
            "vocabulary_size": .int(vocabularySize), "hidden_size": .int(hiddenSize),
            "head_count": .int(headCount), "key_size": .int(keySize), "inner_size": .int(innerSize),
            "encoder_layer_count": .int(encoderLayerCount), "decoder_layer_count": .int(decoderLayerCount),
            "feed_forward": .string(feedForward.rawValue), "tied_output": .bool(tiedOutput),
            "scaled_output": .bool(scaledOutput), "bucket_count": .int(bucketCount),
            "maximum_distance": .int(maximumDistance), "epsilon": .double(epsilon),
            "dropout": .double(dropout), "shares_dropout_masks": .bool(sharesDropoutMasks),
            "padding_token": .int(paddingToken), "end_token": .int(endToken), "start_token": .int(startToken),
        ]
        return plain.merging(own)
    }

    /// The settings that only this package has, under their names in both forms of configuration files.
    var own: SettingsTree {
        var object: SettingsObject = [:]
        if let altUp { object["altup"] = altUp.settings }
        if let experts { object["experts"] = experts.settings }
        return .object(object)
    }
}
