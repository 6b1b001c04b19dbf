import Foundation
import RetNetSettings

extension LanguageModelConfiguration: DeclaredSettings {
    /// The value of `model_type` in configuration files.
    public static let modelType = "retnet"
    /// The version of configuration files.
    public static let formatVersion = 1

    /// A model of equal blocks whose sizes must be given.
    public static let standard = LanguageModelConfiguration(
        vocabularySize: 1, hiddenSize: 1, layerCount: 1, mixer: LayerConfiguration.standard.mixer,
        feedForward: LayerConfiguration.standard.feedForward)

    /// All settings.
    ///
    /// Equal blocks have `mixer`, `feed_forward` and `short_convolution` here; blocks of several kinds are in the
    /// list `layer_pattern`. `model_type` and `format_version` are allowed, as in `config.json`.
    public static var declarations: [Setting<Self>] { sizes + layers + choices }

    private static var sizes: [Setting<Self>] {
        [
            header("model_type", .string(modelType), "'\(modelType)'", "Type of the model."),
            header(
                "format_version", .int(formatVersion),
                "\(formatVersion), the only version that this program reads", "Version of the file."),
            .int(
                "vocabulary_size", \.vocabularySize, in: 1...1 << 24, isRequired: true, "Number of token ids."
            ),
            .int(
                "hidden_size", \.hiddenSize, in: 1...1 << 18, isRequired: true,
                "Width of the residual stream."),
            .int("layer_count", \.layerCount, in: 1...10_000, isRequired: true, "Number of blocks."),
        ]
    }

    private static var layers: [Setting<Self>] {
        let equal: [Setting<Self>] = Setting.inline(\.pattern[0])
        return [layerPattern]
            + equal.map {
                $0.unlessGiven("layer_pattern", otherwise: "give it in the entries of 'layer_pattern'")
                    .writtenWhen { $0.pattern.count == 1 }
            }
    }

    private static var choices: [Setting<Self>] {
        [
            .object("norm", \.norm),
            .bool("pre_norm", \.preNorm, "Norms before mixers and feed-forwards, not after residual sums."),
            .bool(
                "parallel_residual", \.parallelResidual,
                "Feed-forwards that read the input of their mixers, not the sum with their output."
            ).writtenIfChanged(),
            .int(
                "halving_period", \.halvingPeriod, in: 1...10_000,
                "Number of blocks after each of which the residual stream is halved; never by default."),
            .bool("final_norm", \.finalNorm, "Norm before the output matrix."),
            .choice("embedding_scale", \.embeddingScale, "Factor of the embeddings."),
            .bool("embedding_norm", \.embeddingNorm, "Norm after the embedding."),
            .choice("position_embedding", \.positionEmbedding, "Absolute positions, added to embeddings."),
            .int(
                "position_count", \.positionCount, in: 1...1 << 24, isRequired: true,
                "Number of positions with learned embeddings, beyond which the model cannot read."
            ).when("position_embedding: learned", { $0.positionEmbedding == .learned }),
            .bool("tied_output", \.tiedOutput, "Use of the embedding as output matrix."),
            .bool("output_bias", \.outputBias, "Biases of the output matrix, added to the logits.")
                .writtenIfChanged(),
            .object("dropout", \.dropout),
            .bool("deep_norm", \.deepNorm, "DeepNorm: scaled residuals and initial values."),
            .object("initialization", \.initialization),
            .int(
                "training_length", \.trainingLength, in: 1...Int.max,
                "Length of training sequences in tokens, for information."),
            .object("altup", \.altUp),
            .object("tokens", \.tokens),
        ]
    }

    /// A fixed value of `config.json`, which is checked wherever it is given.
    private static func header(
        _ key: String, _ value: SettingsTree, _ allowed: String, _ help: String
    ) -> Setting<Self> {
        Setting(
            key, values: allowed, help,
            read: { reader, _ in
                if let found = reader.tree(key), found != value { reader.report(key, allowed: allowed) }
            }, write: { _ in nil })
    }

    /// The rows of an entry of the list of blocks.
    private static var patternRows: [SettingsRow] {
        let count = SettingsRow(
            path: "[].repeat", values: "an integer from 1 to 10,000", defaultText: "1",
            help: "Number of blocks of this kind in a row.")
        let rows = LayerConfiguration.settingsRows.map {
            var row = $0
            row.path = "[]." + row.path
            return row
        }
        return rows + [count]
    }

    /// The list of blocks of several kinds, equal ones in a row as one entry with `repeat`.
    private static var layerPattern: Setting<Self> {
        return Setting(
            "layer_pattern", values: "a list of blocks", "", nestedRows: patternRows,
            read: { reader, model in
                guard reader.has("layer_pattern") else { return }
                let entries = reader.objects("layer_pattern")
                guard !entries.isEmpty else {
                    return reader.report("layer_pattern", allowed: "a list of blocks")
                }
                model.pattern = entries.flatMap { entry in
                    [LayerConfiguration](
                        repeating: LayerConfiguration(reading: entry),
                        count: entry.int("repeat", in: 1...10_000, default: 1))
                }
            },
            write: { model in
                guard model.pattern.count > 1 else { return nil }
                var runs: [(layer: LayerConfiguration, count: Int)] = []
                for layer in model.pattern {
                    if let last = runs.last, last.layer == layer {
                        runs[runs.count - 1].count += 1
                    } else {
                        runs.append((layer, 1))
                    }
                }
                return .array(runs.map { $0.layer.settings.merging(["repeat": .int($0.count)]) })
            })
    }

    /// Reports settings that are allowed one by one but not together.
    public func reportContradictions(to reader: SettingsReader) {
        if positionEmbedding == .sinusoidal, hiddenSize % 2 != 0 {
            reader.reportContradiction(
                "position_embedding", "sines and cosines need an even hidden_size, not \(hiddenSize)")
        }
        if parallelResidual, !preNorm {
            reader.reportContradiction(
                "parallel_residual", "the two branches have a norm each before them: take pre_norm: true")
        }
        if outputBias, tiedOutput {
            reader.reportContradiction("output_bias", "an embedding has no biases: take tied_output: false")
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
