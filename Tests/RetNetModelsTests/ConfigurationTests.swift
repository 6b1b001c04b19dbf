import Foundation
import RetNetMixers
import RetNetModels
import RetNetSettings
import RetNetTestSupport
import Testing

struct ConfigurationTests {
    private var sample: LanguageModelConfiguration {
        LanguageModelConfiguration(
            vocabularySize: 100, hiddenSize: 24, layerCount: 3,
            mixer: .retention(
                RetentionConfiguration(
                    headCount: 2, keyValueHeadCount: 1, keySize: 4, valueSize: 6, decay: .list([0.5, 1]),
                    rotation: .none, normalization: .decayAbsSum,
                    headNorm: HeadNormConfiguration(kind: .layer, affine: .perHead, epsilon: 1e-5),
                    gate: .gelu,
                    biases: true)),
            feedForward: FeedForwardConfiguration(
                kind: .gated, activation: .relu, innerSize: 40, subNorm: true, biases: true),
            norm: NormConfiguration(kind: .layer, epsilon: 1e-5), preNorm: false, finalNorm: false,
            embeddingScale: .squareRoot, embeddingNorm: true, tiedOutput: true,
            dropout: DropoutConfiguration(embedding: 0.1, residual: 0.2, activation: 0.3, dropPath: 0.4),
            deepNorm: true, initialization: .normal(standardDeviation: 0.03), trainingLength: 77,
            tokens: SpecialTokens(begin: 0, padding: 99))
    }

    @Test func `a configuration survives its file`() throws {
        let folder = FileManager.default.temporaryDirectory.appending(path: "config-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let url = folder.appending(path: "config.json")
        var all = Preset.all.map(\.configuration) + [sample]
        for scheme in [InitializationScheme.torchscale, .torchscale2023, .paper] {
            var configuration = sample
            configuration.initialization = scheme
            all.append(configuration)
        }
        for configuration in all {
            try configuration.write(to: url)
            #expect(try LanguageModelConfiguration(contentsOf: url) == configuration)
            let reader = SettingsReader(try SettingsTree(yaml: configuration.settings.yamlText()))
            #expect(LanguageModelConfiguration(reading: reader) == configuration)
            try reader.finish()
        }
    }

    @Test func `the file begins with its type and version`() throws {
        let text = try sample.jsonText()
        #expect(
            text.hasPrefix(
                "{\n  \"model_type\": \"retnet\",\n  \"format_version\": 1,\n  \"vocabulary_size\": 100"))
        #expect(LanguageModelConfiguration.recognizes(try SettingsTree(json: text)))
    }

    @Test(arguments: [
        "{\"model_type\": \"retnet\", \"decoder_embed_dim\": 768}", "{\"model_type\": \"llama\"}", "{}", "[]",
        "3",
        "{\"format_version\": 1}",
    ])
    func `files of other projects are told apart`(text: String) {
        let error = #expect(throws: SettingsError.self) { try LanguageModelConfiguration(json: text) }
        #expect(error?.description.contains("convert models of other projects") == true)
    }

    @Test func `a later version is refused`() throws {
        let text = try sample.jsonText().replacing("\"format_version\": 1", with: "\"format_version\": 2")
        let error = #expect(throws: SettingsError.self) { try LanguageModelConfiguration(json: text) }
        #expect(error?.problems.map(\.path) == ["format_version"])
    }

    @Test func `all problems of a file are listed at once`() throws {
        let text = """
            {"model_type": "retnet", "format_version": 1, "vocabulary_size": 0, "hidden_size": "64",
             "mixer": {"kind": "retentoin", "head_count": 2, "key_size": 8, "value_size": 8},
             "feed_forward": {"inner_size": 8, "activation": "tanh"}, "dropout": {"residual": 1.0},
             "initialization": {"kind": "normal", "standard_deviation": 0}, "tied": true}
            """
        let error = #expect(throws: SettingsError.self) {
            try LanguageModelConfiguration(json: text, sourceName: "config.json")
        }
        let paths = Set(error?.problems.map(\.path) ?? [])
        #expect(
            paths == [
                "vocabulary_size", "hidden_size", "layer_count", "mixer.kind", "feed_forward.activation",
                "dropout.residual", "initialization.standard_deviation", "tied",
            ])
        #expect(error?.problems.first { $0.path == "mixer.kind" }?.suggestion == "retention")
        #expect(error?.problems.first { $0.path == "hidden_size" }?.position?.line == 1)
    }

    @Test func `defaults fill what a file leaves out`() throws {
        let text = """
            {"model_type": "retnet", "format_version": 1, "vocabulary_size": 256, "hidden_size": 64,
             "layer_count": 2, "mixer": {"head_count": 2, "key_size": 32, "value_size": 64},
             "feed_forward": {"inner_size": 128}}
            """
        let retention = RetentionConfiguration(headCount: 2, keySize: 32, valueSize: 64)
        #expect(
            try LanguageModelConfiguration(json: text)
                == LanguageModelConfiguration(
                    vocabularySize: 256, hiddenSize: 64, layerCount: 2, mixer: .retention(retention),
                    feedForward: FeedForwardConfiguration(innerSize: 128)))
    }

    @Test func `contradictions across parts are listed together`() {
        var configuration = sample
        configuration.tokens = SpecialTokens(begin: 100, end: -1, padding: 5)
        #expect(configuration.problems().map(\.path) == ["tokens.end"])
        configuration.tokens.end = 200
        #expect(configuration.problems().map(\.path) == ["tokens.begin", "tokens.end"])
        configuration.dropout.residual = .nan
        configuration.norm.epsilon = .infinity
        configuration.layerCount = .max
        configuration.hiddenSize = -1
        #expect(configuration.problems().count == 4)
        #expect(errorText(SettingsError.self) { try configuration.jsonText() }.contains("4 problems"))
        #expect(errorText(SettingsError.self) { try ModelAccounting(configuration) }.contains("4 problems"))
    }

    @Test func `residual and embedding scales follow their formulas`() {
        var configuration = sample
        #expect(abs(configuration.residualScale - 1.5650845800732873) < 1e-12)
        configuration.deepNorm = false
        #expect(configuration.residualScale == 1)
        #expect(EmbeddingScale.squareRoot.factor(hiddenSize: 64) == 8)
        #expect(EmbeddingScale.none.factor(hiddenSize: 64) == 1)
    }

    @Test func `parameters have their names and shapes in order`() throws {
        let shapes = try sample.parameterShapes()
        #expect(shapes.first?.name == "embedding.weight")
        #expect(shapes.first?.shape == [100, 24])
        let layer = shapes.filter { $0.name.hasPrefix("layers.1.") }.map {
            $0.name.dropFirst("layers.1.".count)
        }
        #expect(
            layer == [
                "mixer_norm.weight", "mixer_norm.bias", "mixer.query.weight", "mixer.query.bias",
                "mixer.key.weight", "mixer.key.bias", "mixer.value.weight", "mixer.value.bias",
                "mixer.gate.weight", "mixer.gate.bias", "mixer.head_norm.weight", "mixer.head_norm.bias",
                "mixer.output.weight", "mixer.output.bias", "feed_forward_norm.weight",
                "feed_forward_norm.bias", "feed_forward.up.weight", "feed_forward.up.bias",
                "feed_forward.gate.weight", "feed_forward.gate.bias", "feed_forward.sub_norm.weight",
                "feed_forward.sub_norm.bias", "feed_forward.down.weight", "feed_forward.down.bias",
            ])
        let byName = Dictionary(uniqueKeysWithValues: shapes.map { ($0.name, $0.shape) })
        #expect(byName["layers.2.mixer.key.weight"] == [4, 24])
        #expect(byName["layers.2.mixer.output.weight"] == [24, 12])
        #expect(byName["layers.2.mixer.head_norm.weight"] == [12])
        #expect(byName["layers.2.feed_forward.down.weight"] == [24, 40])
        #expect(shapes[1...2].map(\.name) == ["embedding_norm.weight", "embedding_norm.bias"])
        var plain = sample
        plain.norm = NormConfiguration(kind: .rms)
        plain.finalNorm = true
        plain.tiedOutput = false
        #expect(
            try plain.parameterShapes().suffix(2).map(\.name) == ["final_norm.weight", "output.weight"])
        #expect(try plain.parameterShapes()[1].name == "embedding_norm.weight")
    }
}
