import Settings

extension LanguageModelConfiguration: SettingsRepresentable {
    /// The value of `model_type` in configuration files.
    public static let modelType = "retnet"
    /// The version of configuration files that this package writes and reads.
    public static let formatVersion = 1

    /// Reads the sizes, `mixer` and `feed_forward`, and everything else with the defaults of the initialiser.
    ///
    /// `model_type` and `format_version` may be there, as they are in `config.json`.
    public init(reading reader: SettingsReader) {
        Self.checkHeader(reader)
        let mixer = MixerConfiguration(reading: reader.object("mixer"))
        let feedForward = FeedForwardConfiguration(reading: reader.object("feed_forward"))
        let plain = LanguageModelConfiguration(
            vocabularySize: 1, hiddenSize: 1, layerCount: 1, mixer: mixer, feedForward: feedForward)
        self.init(
            vocabularySize: reader.int("vocabulary_size", in: 1...1 << 24),
            hiddenSize: reader.int("hidden_size", in: 1...1 << 18),
            layerCount: reader.int("layer_count", in: 1...10_000),
            mixer: mixer, feedForward: feedForward,
            norm: reader.optionalObject("norm").map { NormConfiguration(reading: $0) } ?? plain.norm,
            preNorm: reader.bool("pre_norm", default: plain.preNorm),
            finalNorm: reader.bool("final_norm", default: plain.finalNorm),
            embeddingScale: reader.enumeration("embedding_scale", default: plain.embeddingScale),
            embeddingNorm: reader.bool("embedding_norm", default: plain.embeddingNorm),
            tiedOutput: reader.bool("tied_output", default: plain.tiedOutput),
            dropout: reader.optionalObject("dropout").map { DropoutConfiguration(reading: $0) }
                ?? plain.dropout,
            deepNorm: reader.bool("deep_norm", default: plain.deepNorm),
            initialization: reader.optionalObject("initialization").map { InitializationScheme(reading: $0) }
                ?? plain.initialization,
            trainingLength: reader.optionalInt("training_length", in: 1...Int.max),
            tokens: reader.optionalObject("tokens").map { SpecialTokens(reading: $0) } ?? plain.tokens)
        if !reader.hasProblems { reportContradictions(to: reader) }
    }

    /// All choices under their names in configuration files, without `model_type` and `format_version`.
    public var settings: SettingsTree {
        var object: SettingsObject = [
            "vocabulary_size": .int(vocabularySize), "hidden_size": .int(hiddenSize),
            "layer_count": .int(layerCount), "mixer": mixer.settings, "feed_forward": feedForward.settings,
            "norm": norm.settings, "pre_norm": .bool(preNorm), "final_norm": .bool(finalNorm),
            "embedding_scale": .string(embeddingScale.rawValue), "embedding_norm": .bool(embeddingNorm),
            "tied_output": .bool(tiedOutput), "dropout": dropout.settings, "deep_norm": .bool(deepNorm),
            "initialization": initialization.settings,
        ]
        if let trainingLength { object["training_length"] = .int(trainingLength) }
        object["tokens"] = tokens.settings
        return .object(object)
    }

    private static func checkHeader(_ reader: SettingsReader) {
        if let type = reader.tree("model_type"), type != .string(modelType) {
            reader.report("model_type", allowed: "'\(modelType)'")
        }
        if let version = reader.tree("format_version"), version != .int(formatVersion) {
            reader.report(
                "format_version", allowed: "\(formatVersion), the only version that this program reads")
        }
    }

    private func reportContradictions(to reader: SettingsReader) {
        guard let tokenReader = reader.optionalObject("tokens") else { return }
        for (name, id) in tokens.named {
            guard let id, id >= vocabularySize else { continue }
            tokenReader.reportContradiction(
                name, "the vocabulary has only the ids from 0 to \(vocabularySize - 1)")
        }
    }
}
