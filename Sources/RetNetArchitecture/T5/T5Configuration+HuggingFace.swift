import RetNetSettings

extension T5Configuration {
    /// The supported values of `model_type`: T5 with ByT5, Flan-T5 and the like, and mT5, which is T5 v1.1.
    public static let modelTypes = ["t5", "mt5"]

    /// Returns true if a tree is the `config.json` of a T5 model in Hugging Face's form.
    public static func recognizes(_ tree: SettingsTree) -> Bool {
        tree.value(at: "model_type")?.string.map(modelTypes.contains) ?? false
    }

    /// Reads the text of a `config.json` in Hugging Face's form.
    ///
    /// Names without effect on the model are ignored. Throws `SettingsError` with all problems.
    public init(huggingFaceJSON text: String, sourceName: String? = nil) throws {
        let document = try SettingsDocument(json: text, sourceName: sourceName)
        guard Self.recognizes(document.tree) else {
            let type = document.tree.value(at: "model_type")?.string ?? "none"
            throw SettingsError(
                [
                    SettingsProblem(
                        kind: .wrongValue, path: "model_type", found: "the model type '\(type)'",
                        allowed: "'t5' or 'mt5'")
                ], sourceName: sourceName)
        }
        let reader = document.reader
        self.init(huggingFace: reader)
        // Not `finish()`, which refuses unknown names: these files have many.
        guard reader.problems.isEmpty else { throw SettingsError(reader.problems, sourceName: sourceName) }
        try validate()
    }

    private init(huggingFace reader: SettingsReader) {
        let plain = T5Configuration()
        let layers = reader.int("num_layers", in: 1...10_000)
        let tied = reader.bool("tie_word_embeddings", default: true)
        // Absent or null stands for the token of the public models.
        func token(_ key: String, _ standard: Int) -> Int {
            if let list = reader.tree(key)?.array, let first = list.first?.int { return first }
            return reader.int(key, in: 0...1 << 24, default: standard)
        }
        let padding = token("pad_token_id", plain.paddingToken)
        self.init(
            vocabularySize: reader.int("vocab_size", in: 1...1 << 24),
            hiddenSize: reader.int("d_model", in: 1...1 << 18),
            headCount: reader.int("num_heads", in: 1...1 << 12),
            keySize: reader.int("d_kv", in: 1...1 << 12), innerSize: reader.int("d_ff", in: 1...1 << 22),
            encoderLayerCount: layers,
            decoderLayerCount: reader.int("num_decoder_layers", in: 1...10_000, default: layers),
            feedForward: reader.enumeration("feed_forward_proj", default: .relu), tiedOutput: tied,
            // Newer versions write scaling and tying separately.
            scaledOutput: reader.bool("scale_decoder_outputs", default: tied),
            bucketCount: reader.int(
                "relative_attention_num_buckets", in: 4...1 << 16, default: plain.bucketCount),
            maximumDistance: reader.int(
                "relative_attention_max_distance", in: 2...1 << 30, default: plain.maximumDistance),
            epsilon: reader.double(
                "layer_norm_epsilon", in: SettingsRange.positiveFraction, default: plain.epsilon),
            dropout: reader.double("dropout_rate", in: SettingsRange.belowOne, default: plain.dropout),
            sharesDropoutMasks: reader.bool("shares_dropout_masks", default: plain.sharesDropoutMasks),
            paddingToken: padding, endToken: token("eos_token_id", plain.endToken),
            startToken: token("decoder_start_token_id", padding), altUp: Self.own("altup", reader),
            experts: Self.own("experts", reader))
    }

    /// Reads an object that only this package writes: strictly, unlike all other settings here.
    private static func own<Value: SettingsRepresentable>(_ key: String, _ reader: SettingsReader) -> Value? {
        guard let own = reader.optionalObject(key) else { return nil }
        let value = Value(reading: own)
        // Problems are collected in the reader and thrown at the end.
        try? own.finish()
        return value
    }

    /// The configuration in the form of Hugging Face's `config.json`, with the additions `altup` and `experts`.
    public var huggingFaceTree: SettingsTree {
        var object: SettingsObject = [
            "architectures": .array([.string("T5ForConditionalGeneration")]), "model_type": .string("t5"),
            "is_encoder_decoder": .bool(true), "use_cache": .bool(true), "vocab_size": .int(vocabularySize),
            "d_model": .int(hiddenSize), "d_kv": .int(keySize), "d_ff": .int(innerSize),
            "num_heads": .int(headCount), "num_layers": .int(encoderLayerCount),
            "num_decoder_layers": .int(decoderLayerCount),
            "feed_forward_proj": .string(feedForward.rawValue), "tie_word_embeddings": .bool(tiedOutput),
            "relative_attention_num_buckets": .int(bucketCount),
            "relative_attention_max_distance": .int(maximumDistance),
            "layer_norm_epsilon": .double(epsilon), "dropout_rate": .double(dropout),
            "shares_dropout_masks": .bool(sharesDropoutMasks), "initializer_factor": .double(1),
            "pad_token_id": .int(paddingToken), "eos_token_id": .int(endToken),
            "decoder_start_token_id": .int(startToken),
        ]
        if scaledOutput != tiedOutput { object["scale_decoder_outputs"] = .bool(scaledOutput) }
        return SettingsTree.object(object).merging(own)
    }
}

extension T5Configuration {
    /// Name of the embedding in checkpoints.
    public static let embeddingName = "shared.weight"
    /// Name of the output matrix, which tied models do not have.
    public static let outputName = "lm_head.weight"
    /// Further names that a checkpoint may have: copies of the embedding, and a table of old ones that no version uses.
    public static let toleratedNames = (
        embeddingAliases: ["encoder.embed_tokens.weight", "decoder.embed_tokens.weight"],
        unused: ["decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight"]
    )
}
