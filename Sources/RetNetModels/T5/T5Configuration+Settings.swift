import RetNetSettings

extension T5Configuration: SettingsRepresentable {
    /// Reads the sizes, and everything else with the defaults of the initialiser.
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

    /// Reports what no value alone shows, under the names in use.
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

    /// All choices under their names in configuration files.
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

    /// What no other program knows, under the names in both forms of configuration files.
    var own: SettingsTree {
        var object: SettingsObject = [:]
        if let altUp { object["altup"] = altUp.settings }
        if let experts { object["experts"] = experts.settings }
        return .object(object)
    }
}
