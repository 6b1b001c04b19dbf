import Foundation
import RetNetSettings

extension LanguageModelConfiguration: SettingsRepresentable {
    /// The value of `model_type` in configuration files.
    public static let modelType = "retnet"
    /// The version of configuration files.
    public static let formatVersion = 1

    /// Reads the sizes, the blocks, and all other settings with the defaults of the initializer.
    ///
    /// Equal blocks have `mixer`, `feed_forward` and `short_convolution` here; blocks of several kinds are in the
    /// list `layer_pattern`, whose entries have these settings and optionally `repeat`.
    /// `model_type` and `format_version` are allowed, as in `config.json`.
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

    /// The blocks as settings: next to the others for equal blocks, otherwise as a list with repetitions.
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

    /// All settings under their names in configuration files, without `model_type` and `format_version`.
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

    private func reportAltUpContradictions(to reader: SettingsReader) {
        guard let altUp, let own = reader.optionalObject("altup") else { return }
        if altUp.kind == .sum, tiedOutput {
            own.reportContradiction(
                "kind",
                "the summed embedding of width \(embeddingWidth) cannot be the output matrix too:"
                    + " take tied_output: false")
        }
        guard let sequence = altUp.sequence, let place = own.optionalObject("sequence") else { return }
        if let reason = sequence.unsupportedReasonInCausalModels { place.reportContradiction("mode", reason) }
        if let last = sequence.lastLayer, last >= layerCount {
            place.reportContradiction("last_layer", "the last layer of \(layerCount) is \(layerCount - 1)")
        }
        guard sequence.positions == .tokens, sequence.stride > 1 else { return }
        for layer in sequence.layers(of: layerCount).map(Array.init) ?? [] {
            let mixer = self.layer(layer).mixer
            guard !mixer.architecture.honorsPositionStride else { continue }
            place.reportContradiction(
                "positions", "'\(mixer.kind.rawValue)' counts only what it sees: take positions: anchors")
            return
        }
    }

    private func reportExpertContradictions(to reader: SettingsReader) {
        for layer in pattern {
            guard let reason = layer.feedForward.experts?.unsupportedReasonInCausalModels else { continue }
            let place = reader.has("layer_pattern") ? "layer_pattern" : "feed_forward"
            reader.reportContradiction(place, reason)
            return
        }
    }
}

extension LanguageModelConfiguration {
    /// Reads a `config.json`; throws `SettingsError` with all problems.
    public init(contentsOf url: URL) throws {
        try self.init(file: try SettingsDocument(contentsOf: url))
    }

    /// Reads the text of a `config.json`; throws `SettingsError` with all problems.
    public init(json text: String, sourceName: String? = nil) throws {
        try self.init(file: try SettingsDocument(json: text, sourceName: sourceName))
    }

    /// Returns the text of `config.json`: `model_type`, `format_version`, then ``settings``.
    ///
    /// Throws `SettingsError` if the configuration is invalid.
    public func jsonText() throws -> String {
        try validate()
        let head: SettingsTree = [
            "model_type": .string(Self.modelType), "format_version": .int(Self.formatVersion),
        ]
        return try head.merging(settings).jsonText()
    }

    /// Writes `config.json`, replacing an existing file atomically.
    public func write(to url: URL) throws {
        try Data(try jsonText().utf8).write(to: url, options: .atomic)
    }

    /// Returns true if a tree is a `config.json` of this package, not of another project with its `model_type`.
    public static func recognizes(_ tree: SettingsTree) -> Bool {
        tree.value(at: "model_type") == .string(modelType) && tree.value(at: "format_version") != nil
    }

    private init(file document: SettingsDocument) throws {
        guard Self.recognizes(document.tree) else {
            let type = document.tree.value(at: "model_type")?.string ?? "none"
            throw SettingsError(
                [
                    SettingsProblem(
                        kind: .wrongValue, path: "",
                        found: "a configuration of the model type '\(type)'"
                            + " without a format_version",
                        allowed: "one that this program has written; convert models of other projects first")
                ], sourceName: document.sourceName)
        }
        let reader = document.reader
        self.init(reading: reader)
        try reader.finish()
    }
}
