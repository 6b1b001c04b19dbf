import RetNetMixers
import RetNetModels
import RetNetTestSupport
import Testing

struct ConfigurationAccountingTests {
    @Test(arguments: [
        ("retnet-200m", 201_326_592), ("retnet-1.3b", 1_207_959_552), ("retnet-2.7b", 2_516_582_400),
        ("retnet-6.7b", 6_442_450_944), ("retnet-13b", 12_582_912_000), ("retnet-22m", 18_874_368),
    ])
    func `blocks of the paper have 12 d d parameters in matrices`(name: String, count: Int) throws {
        let accounting = try ModelAccounting(Preset.named(name).configuration)
        #expect(accounting.blockMatrixParameterCount == count)
        let width = accounting.configuration.hiddenSize
        #expect(count == 12 * width * width * accounting.configuration.layerCount)
        #expect(accounting.matrixParameterCount == count + accounting.configuration.vocabularySize * width)
    }

    @Test(arguments: [
        ("torchscale-base", 19.1e6, 0.05e6), ("torchscale-medium", 203e6, 0.5e6),
        ("torchscale-xl", 1.221e9, 0.5e6), ("torchscale-3b", 2.523e9, 0.5e6),
        ("torchscale-7b", 6.510e9, 0.5e6), ("torchscale-13b", 12.62e9, 5e6), ("torchscale-65b", 52.1e9, 50e6),
    ])
    func `blocks of torchscale have the published sizes`(name: String, count: Double, rounding: Double) throws
    {
        let accounting = try ModelAccounting(Preset.named(name).configuration)
        #expect(abs(Double(accounting.blockMatrixParameterCount) - count) <= rounding)
    }

    @Test(arguments: [("fla-retnet-1.3b", 1_351_727_104, 267), ("fla-retnet-2.7b", 2_722_548_224, 355)])
    func `published models have exactly their parameters and tensors`(name: String, count: Int, tensors: Int)
        throws
    {
        let configuration = try Preset.named(name).configuration
        #expect(try ModelAccounting(configuration).parameterCount == count)
        #expect(try configuration.parameterShapes().count == tensors)
    }

    @Test func `a published model of syncdoth's format has the size of its file`() throws {
        // Spiral-RetNet-3b-base: torchscale's 3b, the vocabulary of calm2, float32 files of 11.42 GB.
        var configuration = try Preset.named("torchscale-3b").configuration
        configuration.vocabularySize = 65_024
        let accounting = try ModelAccounting(configuration)
        #expect(accounting.parameterCount == 2_856_225_280)
        #expect((Double(accounting.weightByteCount(bytesPerParameter: 4)) / 1e7).rounded() / 100 == 11.42)
    }

    @Test func `the model of the later comparison is near its printed size`() throws {
        let accounting = try ModelAccounting(Preset.named("retnet-400m").configuration)
        #expect(accounting.parameters.output == 0)
        #expect(accounting.parameters.embedding == 102_694_912)
        #expect(abs(Double(accounting.parameterCount) / 404.7e6 - 1) < 0.01)
    }

    @Test(arguments: Preset.all.map(\.name))
    func `every preset is sound and adds up`(name: String) throws {
        let preset = try Preset.named(name)
        #expect(preset.configuration.problems().isEmpty)
        let accounting = try ModelAccounting(preset.configuration)
        let shapes = try preset.configuration.parameterShapes()
        #expect(Set(shapes.map(\.name)).count == shapes.count)
        #expect(accounting.parameterCount == shapes.reduce(0) { $0 + $1.shape.reduce(1, *) })
        #expect(
            accounting.parameters.total
                == ParameterCounts.Part.allCases.reduce(0) { $0 + accounting.parameters[$1] })
        let block = accounting.blockParameters()
        let layers = preset.configuration.layerCount
        if preset.configuration.pattern.count == 1 {
            #expect(accounting.parameters.mixers == block.mixers * layers)
            #expect(accounting.parameters.feedForwards == block.feedForwards * layers)
        }
        guard case .retention(let retention) = preset.configuration.mixer else { return }
        // Dense2X widens the residual stream alone.
        let streams = name.hasSuffix("dense2x") ? 2 : 1
        #expect(streams * retention.headCount * retention.keySize == preset.configuration.hiddenSize)
        #expect(retention.normalization.streams)
        #expect(preset.recipe.sequenceLength == preset.configuration.trainingLength)
        #expect(preset.recipe.warmupSteps < preset.recipe.steps)
        #expect(!preset.summary.isEmpty && !preset.source.isEmpty)
    }

    @Test func `state and memory of published sizes`() throws {
        var configuration = try Preset.named("retnet-6.7b").configuration
        var accounting = try ModelAccounting(configuration)
        #expect(accounting.stateElementCount(tokenCount: 1) == 67_108_864 + 4096 * 32)
        #expect(accounting.stateByteCount(tokenCount: 8192) == 4 * (67_108_864 + 131_072))
        #expect(!accounting.stateGrows)
        if case .retention(var retention) = configuration.mixer {
            retention.normalization = .decay
            configuration.mixer = .retention(retention)
        }
        accounting = try ModelAccounting(configuration)
        #expect(accounting.stateByteCount(tokenCount: .max) == 268_435_456)
        let count = accounting.parameterCount
        #expect(accounting.weightByteCount(bytesPerParameter: 2) == 2 * count)
        #expect(accounting.trainingByteCount(mixedPrecision: false) == 16 * count)
        #expect(
            accounting.trainingByteCount(mixedPrecision: true) == 16 * count + 2
                * accounting.matrixParameterCount)
    }

    @Test func `work of the 1 3B model as counted by hand`() throws {
        let accounting = try ModelAccounting(Preset.named("retnet-1.3b").configuration)
        let matrices = 1_207_959_552 + 32_000 * 2048
        let core = 4 * 256 * 512 * 8 * 24
        #expect(accounting.forwardFLOPsPerToken == 2 * matrices + core)
        #expect(accounting.trainingFLOPsPerToken == 6 * matrices + 3 * core)
        #expect(accounting.decodingFLOPsPerToken(position: 123_456) == 2 * matrices + core)
        // 6 C d + 8 a d forward, 14 C d + 20 a d backward with states computed again.
        let (chunk, width, keys, layers) = (256, 2048, 256, 24)
        let forward = layers * width * (6 * chunk + 8 * keys)
        let backward = layers * width * (14 * chunk + 20 * keys)
        #expect(accounting.hardwareForwardFLOPsPerToken(chunkLength: chunk) == 2 * matrices + forward)
        #expect(
            accounting.hardwareTrainingFLOPsPerToken(chunkLength: chunk) == 6 * matrices + forward + backward)
        #expect(
            accounting.hardwareTrainingFLOPsPerToken(chunkLength: chunk, recomputesStates: false)
                == 6 * matrices + forward + backward - layers * width * 4 * keys)
    }

    @Test func `the largest allowed model does not overflow`() throws {
        let retention = RetentionConfiguration(
            headCount: 16, keySize: 1 << 16, valueSize: 1 << 16, normalization: .decayAbsSum, biases: true)
        let configuration = LanguageModelConfiguration(
            vocabularySize: 1 << 24, hiddenSize: 1 << 18, layerCount: 10_000, mixer: .retention(retention),
            feedForward: FeedForwardConfiguration(
                kind: .gated, innerSize: 1 << 22, subNorm: true, biases: true))
        let accounting = try ModelAccounting(configuration)
        #expect(accounting.trainingByteCount(mixedPrecision: true) > 0)
        #expect(accounting.trainingFLOPsPerToken > 0)
        #expect(accounting.hardwareTrainingFLOPsPerToken(chunkLength: .max) > 0)
        #expect(accounting.stateByteCount(tokenCount: .max) > 0)
    }

    @Test func `names of presets are unique and misspelt ones are explained`() {
        #expect(Set(Preset.all.map(\.name)).count == Preset.all.count)
        let error = #expect(throws: PresetError.self) { try Preset.named("retnet3m") }
        #expect(error?.description == "there is no preset 'retnet3m'; did you mean 'retnet-3m'?")
        #expect(errorText(PresetError.self) { try Preset.named("") }.contains("there is no preset ''"))
    }

    @Test func `small presets see windows within their training length`() throws {
        for name in ["retnet-1m", "retnet-3m", "retnet-8m", "retnet-22m", "retnet-50m", "retnet-100m"] {
            let configuration = try Preset.named(name).configuration
            #expect(configuration.vocabularySize == 256)
            guard case .retention(let retention) = configuration.mixer else { continue }
            let slowest = retention.decay.gammas(headCount: retention.headCount).max() ?? 0
            #expect(1 / (1 - slowest) <= Double(configuration.trainingLength ?? 0))
            let width = configuration.hiddenSize
            let count = try ModelAccounting(configuration).blockMatrixParameterCount
            #expect(count == 12 * width * width * configuration.layerCount)
        }
    }
}
