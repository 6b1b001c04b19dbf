import RetNetSettings

extension LanguageModelConfiguration: SettingsRepresentable {
    /// The value of `model_type` in configuration files.
    public static let modelType = "retnet"
    /// The version of configuration files that this package writes and reads.
    public static let formatVersion = 1

    /// Reads the sizes, the blocks, and everything else with the defaults of the initialiser.
    ///
    /// Equal blocks have `mixer`, `feed_forward` and `short_convolution` here; blocks of several kinds stand in the
    /// list `layer_pattern`, whose entries have these settings and may have `repeat`.
    /// `model_type` and `format_version` may be there, as they are in `config.json`.
    public init(reading reader: SettingsReader) {
        Self.checkHeader(reader)
        let pattern = Self.pattern(reader)
        let plain = LanguageModelConfiguration(
            vocabularySize: 1, hiddenSize: 1, layerCount: 1, mixer: pattern[0].mixer,
            feedForward: pattern[0].feedForward)
        self.init(
            vocabularySize: reader.int("vocabulary_size", in: 1...1 << 24),
            hiddenSize: reader.int("hidden_size", in: 1...1 << 18),
            layerCount: reader.int("layer_count", in: 1...10_000),
            mixer: plain.mixer, feedForward: plain.feedForward,
            norm: reader.optionalObject("norm").map { NormConfiguration(reading: $0) } ?? plain.norm,
            preNorm: reader.bool("pre_norm", default: plain.preNorm),
            finalNorm: reader.bool("final_norm", default: plain.finalNorm),
            embeddingScale: reader.enumeration("embedding_scale", default: plain.embeddingScale),
            embeddingNorm: reader.bool("embedding_norm", default: plain.embeddingNorm),
            positionEmbedding: reader.enumeration("position_embedding", default: plain.positionEmbedding),
            tiedOutput: reader.bool("tied_output", default: plain.tiedOutput),
            dropout: reader.optionalObject("dropout").map { DropoutConfiguration(reading: $0) }
                ?? plain.dropout,
            deepNorm: reader.bool("deep_norm", default: plain.deepNorm),
            initialization: reader.optionalObject("initialization").map { InitializationScheme(reading: $0) }
                ?? plain.initialization,
            trainingLength: reader.optionalInt("training_length", in: 1...Int.max),
            tokens: reader.optionalObject("tokens").map { SpecialTokens(reading: $0) } ?? plain.tokens,
            altUp: reader.optionalObject("altup").map { AltUpConfiguration(reading: $0) })
        self.pattern = pattern
        if !reader.hasProblems { reportContradictions(to: reader) }
    }

    private static func pattern(_ reader: SettingsReader) -> [LayerConfiguration] {
        let entries = reader.has("layer_pattern") ? reader.objects("layer_pattern") : []
        guard !entries.isEmpty else {
            if reader.has("layer_pattern") { reader.report("layer_pattern", allowed: "a list of blocks") }
            return [LayerConfiguration(reading: reader)]
        }
        for key in ["mixer", "feed_forward", "short_convolution"] where reader.has(key) {
            reader.reportContradiction(key, "give it in the entries of 'layer_pattern'")
        }
        return entries.flatMap { entry in
            [LayerConfiguration](
                repeating: LayerConfiguration(reading: entry),
                count: entry.int("repeat", in: 1...10_000, default: 1))
        }
    }

    /// The blocks as settings: beside the others for equal blocks, as a list with repetitions otherwise.
    private var patternSettings: SettingsTree {
        guard pattern.count > 1 else { return pattern[0].settings }
        var runs: [(layer: LayerConfiguration, count: Int)] = []
        for layer in pattern {
            if let last = runs.last, last.layer == layer {
                runs[runs.count - 1].count += 1
            } else {
                runs.append((layer, 1))
            }
        }
        return ["layer_pattern": .array(runs.map { $0.layer.settings.merging(["repeat": .int($0.count)]) })]
    }

    /// All choices under their names in configuration files, without `model_type` and `format_version`.
    public var settings: SettingsTree {
        var object: SettingsObject = [
            "vocabulary_size": .int(vocabularySize), "hidden_size": .int(hiddenSize),
            "layer_count": .int(layerCount),
        ]
        for entry in patternSettings.object?.entries ?? [] { object[entry.key] = entry.value }
        let rest: SettingsObject = [
            "norm": norm.settings, "pre_norm": .bool(preNorm), "final_norm": .bool(finalNorm),
            "embedding_scale": .string(embeddingScale.rawValue), "embedding_norm": .bool(embeddingNorm),
            "position_embedding": .string(positionEmbedding.rawValue),
            "tied_output": .bool(tiedOutput), "dropout": dropout.settings, "deep_norm": .bool(deepNorm),
            "initialization": initialization.settings,
        ]
        for entry in rest.entries { object[entry.key] = entry.value }
        if let trainingLength { object["training_length"] = .int(trainingLength) }
        if let altUp { object["altup"] = altUp.settings }
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
        if positionEmbedding == .sinusoidal, hiddenSize % 2 != 0 {
            reader.reportContradiction(
                "position_embedding", "sines and cosines need an even hidden_size, not \(hiddenSize)")
        }
        reportAltUpContradictions(to: reader)
        reportExpertContradictions(to: reader)
        guard let tokenReader = reader.optionalObject("tokens") else { return }
        for (name, id) in tokens.named {
            guard let id, id >= vocabularySize else { continue }
            tokenReader.reportContradiction(
                name, "the vocabulary has only the ids from 0 to \(vocabularySize - 1)")
        }
    }
}
