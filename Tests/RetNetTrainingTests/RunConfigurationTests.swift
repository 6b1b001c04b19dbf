import Foundation
import RetNetMixers
import RetNetModels
import RetNetSettings
import RetNetTestSupport
import RetNetTraining
import Testing

@Suite struct RunConfigurationTests {
    @Test func `A configuration survives being written and read`() throws {
        var configuration = RunConfiguration(model: Tiny.model(dropout: 0.1))
        configuration.task.data.paths = ["a.txt", "b c.txt"]
        configuration.task.data.separator = .text("<|end|>")
        configuration.task.data.mode = .contiguous
        configuration.training.duration = .epochs(1.5)
        configuration.task.form = .chunkwise(64)
        configuration.training.seed = 7
        configuration.training.monitoring.samplePrompt = "Once: \"upon\"\n"
        let read = try RunConfiguration<LanguageModelTask>(SettingsDocument(yaml: configuration.yamlText))
        #expect(read == configuration)
        let resolved = try configuration.resolved()
        #expect(
            try RunConfiguration<LanguageModelTask>(SettingsDocument(yaml: resolved.yamlText)) == resolved)
    }

    @Test func `A preset gives model and recipe, and everything can be overridden`() throws {
        let document = try SettingsDocument(
            yaml: "model: {preset: retnet-1m, layer_count: 3}\noptimizer: {learning_rate: 0.5}\n")
        let configuration = try RunConfiguration<LanguageModelTask>(
            document,
            assignments: ["model.hidden_size=64", "steps=12", "optimizer.betas[1]=0.99", "data.paths=x"]
                .map(SettingsAssignment.init(parsing:)))
        let preset = try Preset.named("retnet-1m")
        #expect(configuration.task.model.layerCount == 3)
        #expect(configuration.task.model.hiddenSize == 64)
        #expect(configuration.task.model.mixer == preset.configuration.mixer)
        #expect(configuration.training.optimizer.learningRate == 0.5)
        #expect(configuration.training.duration == .steps(12))
        #expect(configuration.task.data.paths == ["x"])
        #expect(configuration.training.optimizer.adamW.betas == [preset.recipe.betas[0], 0.99])
        #expect(configuration.training.schedule.warmupStepCount == preset.recipe.warmupSteps)
    }

    /// An architecture without a preset.
    private static let writtenOut = """
        model: {vocabulary_size: 256, hidden_size: 32, layer_count: 1, mixer: {head_count: 2, key_size: 16, value_size: 32},
          feed_forward: {inner_size: 64}}

        """

    @Test(arguments: [
        ("model: {preset: retnet-1m}", "", 50), ("model: {preset: retnet-1m}", "steps=60", 6),
        ("model: {preset: retnet-1m}", "steps=5", 0), ("model: {preset: retnet-1m}", "steps=501", 50),
        ("model: {preset: retnet-1m}\nsteps: 60\nschedule: {warmup_steps: 40}", "", 40),
        ("model: {preset: retnet-1m}\nsteps: 60\nschedule: {warmup_share: 0.5}", "", 30),
        ("model: {preset: retnet-1m}\nsteps: 60", "schedule.warmup_steps=41", 41),
        ("steps: 290\nschedule: {warmup_share: 0.29}", "", 84), ("steps: 1000", "", 100),
        ("steps: 100000", "", 375), ("steps: 60\nschedule: {warmup_steps: 50, warmup_share: 0.1}", "", 6),
    ])
    func `A warm-up that nobody chose is at most a tenth of the run`(
        text: String, assignment: String, warmup: Int
    ) throws {
        let assignments = try assignment.isEmpty ? [] : [SettingsAssignment(parsing: assignment)]
        let configuration = try RunConfiguration<LanguageModelTask>(
            SettingsDocument(yaml: text.contains("preset") ? text : Self.writtenOut + text),
            assignments: assignments
        ).resolved()
        #expect(configuration.training.schedule.warmupStepCount == warmup)
        // What is written means the same for a longer run.
        var longer = try RunConfiguration<LanguageModelTask>(SettingsDocument(yaml: configuration.yamlText))
        #expect(longer == configuration)
        longer.training.duration = .steps(1_000_000)
        #expect(try longer.resolved().training.schedule.warmupStepCount == warmup)
    }

    @Test func `Recipes keep their own warm-up, and T5's schedule has no rise that a short run would end in`()
        throws
    {
        for preset in Preset.all {
            let schedule = try RunConfiguration(preset: preset).resolved().training.schedule
            #expect(schedule.warmupStepCount == preset.recipe.warmupSteps, "\(preset.name)")
        }
        func warmup(_ text: String) throws -> Int {
            try RunConfiguration<EncoderDecoderTask>(SettingsDocument(yaml: text)).resolved().training
                .schedule.warmupStepCount
        }
        #expect(try warmup("model: {preset: t5-2m}\nsteps: 60") == 10_000)
        #expect(try warmup("model: {preset: t5-2m}\nsteps: 60\nschedule: {kind: linear}") == 6)
        // In code, too, who sets a number means it.
        var configuration = RunConfiguration(preset: try Preset.named("retnet-1m"))
        configuration.training.duration = .steps(60)
        #expect(try configuration.resolved().training.schedule.warmupStepCount == 6)
        configuration.training.schedule.warmupStepCount = 20
        #expect(try configuration.resolved().training.schedule.warmupStepCount == 20)
    }

    @Test func `An optimizer has its own defaults, whatever the model's are`() throws {
        func optimizer<Task>(_ type: Task.Type, _ text: String, _ assignments: String...) throws
            -> OptimizerConfiguration
        where Task: TrainingTask {
            try RunConfiguration<Task>(
                SettingsDocument(yaml: text), assignments: assignments.map(SettingsAssignment.init(parsing:))
            ).training.optimizer
        }
        let preset = "model: {preset: retnet-1m}"
        #expect(try optimizer(LanguageModelTask.self, preset, "optimizer.kind=adafactor") == .adafactor)
        let t5 = "model: {preset: t5-2m}"
        #expect(try optimizer(EncoderDecoderTask.self, t5) == .adafactor)
        var adamW = OptimizerConfiguration()
        #expect(try optimizer(EncoderDecoderTask.self, t5, "optimizer.kind=adamw") == adamW)
        adamW.adamW.beta2 = 0.999
        #expect(
            try optimizer(
                EncoderDecoderTask.self, t5, "optimizer.kind=adamw", "optimizer.betas[1]=0.999") == adamW)
        let tasks = t5 + "\ndata: {tasks: [{task: sst2, path: a}]}"
        #expect(try optimizer(EncoderDecoderTask.self, tasks).learningRate == 1e-3)
    }

    @Test func `Every setting is described once`() {
        for rows in [
            RunConfiguration<LanguageModelTask>.settingsRows,
            RunConfiguration<EncoderDecoderTask>.settingsRows,
        ] {
            // An architecture may have a setting of the same name for several mixers.
            let rows = rows.filter { !$0.path.hasPrefix("model.") }
            let paths = rows.map(\.path)
            #expect(Set(paths).count == paths.count)
            #expect(rows.allSatisfy { !$0.help.isEmpty && !$0.values.isEmpty })
            for path in ["optimizer.betas", "data.paths", "checkpoint.keep_last", "epochs", "seed"] {
                #expect(paths.contains(path), "\(path)")
            }
        }
    }

    @Test func `A length of the run replaces another one`() throws {
        let document = try SettingsDocument(yaml: "model: {preset: retnet-1m}\nepochs: 2")
        let assignments = [SettingsAssignment("epochs", .null), SettingsAssignment("steps", .int(7))]
        let configuration = try RunConfiguration<LanguageModelTask>(document, assignments: assignments)
        #expect(configuration.training.duration == .steps(7))
    }

    @Test func `Recipes of every preset become whole micro-batches`() {
        for preset in Preset.all {
            let configuration = RunConfiguration(preset: preset)
            let tokens =
                configuration.task.data.batchSize * configuration.task.data.length
                * configuration.training.accumulationCount
            #expect(tokens <= preset.recipe.tokensPerStep)
            #expect(tokens + configuration.task.data.length > preset.recipe.tokensPerStep)
            #expect(configuration.training.optimizer.learningRate == preset.recipe.peakLearningRate)
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
            try RunConfiguration<LanguageModelTask>(SettingsDocument(yaml: yaml, sourceName: "run.yaml"))
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
            try RunConfiguration<LanguageModelTask>(SettingsDocument(yaml: "model: {preset: retnet-3n}"))
        }
        #expect(error?.description.contains("retnet-3m") == true)
    }

    @Test func `A list index beyond its end is refused before anything is read`() throws {
        #expect(throws: SettingsError.self) {
            try RunConfiguration<LanguageModelTask>(
                SettingsDocument(yaml: "model: {preset: retnet-1m}"),
                assignments: [SettingsAssignment(parsing: "a b")])
        }
    }

    @Test func `A model that can only run in parallel trains in parallel`() throws {
        var configuration = RunConfiguration(model: Tiny.model())
        #expect(try configuration.resolved().task.form == .chunkwise(128))
        configuration.task.model.mixer = .retention(
            RetentionConfiguration(headCount: 2, keySize: 8, valueSize: 8, normalization: .decaySumAbs))
        #expect(try configuration.resolved().task.form == .parallel)
        configuration.task.form = .chunkwise(8)
        let error = #expect(throws: SettingsError.self) {
            try RunConfiguration<LanguageModelTask>(SettingsDocument(yaml: configuration.yamlText))
        }
        #expect(error?.problems.map(\.path) == ["form"])
    }

    @Test func `Tokens and epochs become steps`() throws {
        try withFolder { folder in
            var configuration = try Tiny.configuration(in: folder, steps: 1)
            configuration.training.accumulationCount = 2
            configuration.training.duration = .tokens(24 * 3 * 2 * 4 + 1)
            #expect(try TrainingRun(configuration, folder: folder.path + "/tokens").trainer.stepCount == 5)
            configuration.training.duration = .epochs(1e-9)
            #expect(try TrainingRun(configuration, folder: folder.path + "/epochs").trainer.stepCount == 1)
        }
    }
}
