import Foundation
import RetNetMixers
import RetNetModels
import RetNetSettings
import RetNetTraining
import Testing

@Suite struct TrainingConfigurationTests {
    @Test func `A configuration survives being written and read`() throws {
        var configuration = TrainingConfiguration(model: Tiny.model(dropout: 0.1))
        configuration.data.paths = ["a.txt", "b c.txt"]
        configuration.data.separator = .text("<|end|>")
        configuration.data.mode = .contiguous
        configuration.duration = .epochs(1.5)
        configuration.form = .chunkwise(64)
        configuration.seed = 7
        configuration.monitoring.samplePrompt = "Once: \"upon\"\n"
        let read = try TrainingConfiguration(SettingsDocument(yaml: configuration.yamlText))
        #expect(read == configuration)
        let resolved = try configuration.resolved()
        #expect(try TrainingConfiguration(SettingsDocument(yaml: resolved.yamlText)) == resolved)
    }

    @Test func `A preset gives model and recipe, and everything can be overridden`() throws {
        let document = try SettingsDocument(
            yaml: "model: {preset: retnet-1m, layer_count: 3}\noptimizer: {learning_rate: 0.5}\n")
        let configuration = try TrainingConfiguration(
            document,
            assignments: ["model.hidden_size=64", "steps=12", "optimizer.betas[1]=0.99", "data.paths=x"])
        let preset = try Preset.named("retnet-1m")
        #expect(configuration.model.layerCount == 3)
        #expect(configuration.model.hiddenSize == 64)
        #expect(configuration.model.mixer == preset.configuration.mixer)
        #expect(configuration.optimizer.learningRate == 0.5)
        #expect(configuration.duration == .steps(12))
        #expect(configuration.data.paths == ["x"])
        #expect(configuration.schedule.warmupStepCount == preset.recipe.warmupSteps)
    }

    @Test func `Recipes of every preset become whole micro-batches`() {
        for preset in Preset.all {
            let configuration = TrainingConfiguration(preset: preset)
            let tokens =
                configuration.data.batchSize * configuration.data.length * configuration.accumulationCount
            #expect(tokens <= preset.recipe.tokensPerStep)
            #expect(tokens + configuration.data.length > preset.recipe.tokensPerStep)
            #expect(configuration.optimizer.learningRate == preset.recipe.peakLearningRate)
        }
    }

    @Test func `All problems are listed at once with their places`() throws {
        let yaml = """
            model: {preset: retnet-1m}
            data: {length: 0, mode: random, document_separator: commas}
            optimizer: {learning_rate: -1, beta: [1, 2]}
            schedule: {kind: square}
            steps: 5
            tokens: 10
            form: recurrent
            sede: 3
            """
        let error = #expect(throws: SettingsError.self) {
            try TrainingConfiguration(SettingsDocument(yaml: yaml, sourceName: "run.yaml"))
        }
        let paths = Set(error?.problems.map(\.path) ?? [])
        #expect(
            paths == [
                "data.length", "data.mode", "data.document_separator", "optimizer.learning_rate",
                "optimizer.beta",
                "schedule.kind", "tokens", "form", "sede",
            ])
        #expect(error?.description.contains("'seed'") == true)
    }

    @Test func `An unknown preset is answered with the one that was meant`() throws {
        let error = #expect(throws: SettingsError.self) {
            try TrainingConfiguration(SettingsDocument(yaml: "model: {preset: retnet-3n}"))
        }
        #expect(error?.description.contains("retnet-3m") == true)
    }

    @Test func `A list index beyond its end is refused before anything is read`() throws {
        #expect(throws: SettingsError.self) {
            try TrainingConfiguration(
                SettingsDocument(yaml: "model: {preset: retnet-1m}"), assignments: ["a b"])
        }
    }

    @Test func `A model that can only run in parallel trains in parallel`() throws {
        var configuration = TrainingConfiguration(model: Tiny.model())
        #expect(try configuration.resolved().form == .chunkwise(128))
        configuration.model.mixer = .retention(
            RetentionConfiguration(headCount: 2, keySize: 8, valueSize: 8, normalization: .decaySumAbs))
        #expect(try configuration.resolved().form == .parallel)
        configuration.form = .chunkwise(8)
        let error = #expect(throws: SettingsError.self) {
            try TrainingConfiguration(SettingsDocument(yaml: configuration.yamlText))
        }
        #expect(error?.problems.map(\.path) == ["form"])
    }

    @Test func `Tokens and epochs become steps`() throws {
        try withFolder { folder in
            var configuration = try Tiny.configuration(in: folder, steps: 1)
            configuration.accumulationCount = 2
            configuration.duration = .tokens(24 * 3 * 2 * 4 + 1)
            #expect(try TrainingRun(configuration, folder: folder.path + "/tokens").stepCount == 5)
            configuration.duration = .epochs(1e-9)
            #expect(try TrainingRun(configuration, folder: folder.path + "/epochs").stepCount == 1)
        }
    }
}
