import Foundation
import RetNetCheckpoints
import RetNetModels
import RetNetSettings
import RetNetStorage
import RetNetStories
import RetNetTestSupport
import RetNetText
import RetNetTorch
import RetNetTraining
import Testing

@Suite struct T5RunTests {
    private func configuration(in folder: URL, altUp: AltUpConfiguration? = nil, tasks: Bool = false) throws
        -> RunConfiguration<EncoderDecoderTask>
    {
        var configuration = RunConfiguration(model: TinyT5.configuration(altUp: altUp, dropout: 0.1))
        configuration.task.data.inputLength = 32
        configuration.task.data.batchSize = 2
        if tasks {
            let lines = (0..<20).map { index in
                "{\"sentence\": \"word \(index * 37 % 11)\", \"label\": \(index % 2)}"
            }.joined(separator: "\n")
            let path = folder.appendingPathComponent("task.jsonl").path
            try lines.write(toFile: path, atomically: true, encoding: .utf8)
            configuration.task.data.tasks = [
                TextToTextDataConfiguration.TaskFiles(task: .sst2, path: path, validationPath: path),
                TextToTextDataConfiguration.TaskFiles(task: .cola, path: path),
            ]
            configuration.task.data.inputLength = 64
            configuration.task.data.targetLength = 32
        } else {
            let path = folder.appendingPathComponent("text.txt").path
            var generator = StoryGenerator(seed: 5)
            try generator.corpus(byteCount: 3000).text.write(
                toFile: path, atomically: true, encoding: .utf8)
            configuration.task.data.paths = [path]
            configuration.task.data.validationFraction = 0.1
        }
        configuration.training.precision = .float32
        configuration.training.schedule.warmupStepCount = 3
        configuration.training.duration = .steps(8)
        configuration.training.accumulationCount = 2
        configuration.training.monitoring.logInterval = 1
        configuration.training.monitoring.evaluationInterval = 4
        configuration.training.monitoring.evaluationBatchCount = 2
        configuration.training.monitoring.sampleInterval = 3
        configuration.training.monitoring.samplePrompt = "once"
        configuration.training.monitoring.sampleTokenCount = 3
        configuration.training.monitoring.checkpointInterval = 3
        configuration.training.monitoring.keptCheckpointCount = 0
        return configuration
    }

    private func expectSameFiles(_ first: String, _ second: String, step: Int) {
        for name in ["model.safetensors", "optimizer.safetensors", "trainer.json", "config.json"] {
            let paths = [first, second].map { RunFolder(path: $0).checkpointPath(step: step) + "/" + name }
            #expect(
                FileManager.default.contentsEqual(atPath: paths[0], andPath: paths[1]), "\(name) differs")
        }
    }

    @Test(arguments: [(0, false), (1, false), (2, true), (3, false)])
    func `An interrupted and resumed run equals one that was not interrupted, bit for bit`(
        kind: Int, tasks: Bool
    ) throws {
        try withFolder { folder in
            let configuration = try configuration(in: folder, altUp: TinyT5.kinds[kind], tasks: tasks)
            let whole = folder.appendingPathComponent("whole").path
            let expected = Recorder()
            let outcome = try TrainingRun(configuration, folder: whole).run(observers: [expected])
            #expect(outcome.reason == .finished && expected.losses.count == 8)
            #expect(outcome.validation?.accuracy != nil && outcome.validation?.bitsPerByte == nil)
            #expect(expected.samples.count == 2 && expected.samples.allSatisfy { $0.hasPrefix("once\n") })
            let path = folder.appendingPathComponent("stopped").path
            let recorder = Recorder()
            for stop in [2, 5] {
                let flag = InterruptFlag()
                recorder.stop = (stop, flag)
                let run = try TrainingRun(configuration, folder: path, resume: stop > 2)
                #expect(try run.run(interrupt: flag, observers: [recorder]).reason == .interrupted)
            }
            recorder.stop = nil
            let last = try TrainingRun(configuration, folder: path, resume: true)
            #expect(last.resumedStep == 5)
            _ = try last.run(observers: [recorder])
            #expect(recorder.losses == expected.losses)
            #expect(recorder.validations == expected.validations)
            expectSameFiles(whole, path, step: 8)
            // A checkpoint is a model folder with its stacks and its tokenizer.
            let loaded = try T5Folder.load(RunFolder.modelPath(for: path))
            #expect(loaded.configuration == configuration.task.model)
            #expect(try loaded.tokenizer.identity == SentinelByteTokenizer().identity)
        }
    }

    @Test func `A run begins from a folder's weights with another dropout, and with nothing else changed`()
        throws
    {
        try withFolder { folder in
            let first = try configuration(in: folder)
            let path = folder.path + "/first"
            _ = try TrainingRun(first, folder: path).run()
            let base: SettingsTree = [
                "initial_model": .string(path),
                "data": ["tasks": [["task": .string("sst2"), "path": .string(folder.path + "/task.jsonl")]]],
                "model": ["dropout": .double(0.25)],
            ]
            _ = try configuration(in: folder, tasks: true)
            var second = try RunConfiguration<EncoderDecoderTask>(SettingsDocument(base))
            #expect(second.task.model.dropout == 0.25 && second.training.optimizer.learningRate == 1e-3)
            #expect(second.training.schedule.kind == .constant && second.task.data.isPacked)
            second.training.duration = .steps(1)
            let run = try TrainingRun(second, folder: folder.path + "/second")
            let loaded = try T5Folder.load(RunFolder.modelPath(for: path))
            for entry in loaded.model.parameters.entries {
                let own = try #require(run.trainer.task.model.parameters[entry.name])
                #expect(try own.detached().doubles() == entry.tensor.doubles(), "\(entry.name)")
            }
            second.task.model.hiddenSize = 32
            #expect(throws: (any Error).self) {
                try TrainingRun(second, folder: folder.path + "/third")
            }
            #expect(!FileManager.default.fileExists(atPath: folder.path + "/third"))
        }
    }

    @Test func `Settings are read back, and what contradicts itself is named`() throws {
        let text = """
            model: {preset: t5-2m-altup2, dropout: 0.1}
            data: {paths: [a.txt], objective: prefix_lm, input_length: 128}
            optimizer: {kind: adamw, learning_rate: 0.001}
            epochs: 2
            """
        let configuration = try RunConfiguration<EncoderDecoderTask>(
            SettingsDocument(yaml: text),
            assignments: ["data.batch_size=4", "model.altup.blocks=4"].map(SettingsAssignment.init(parsing:)))
        #expect(configuration.task.model.altUp?.streamCount == 4 && configuration.task.data.batchSize == 4)
        #expect(
            configuration.training.optimizer.kind == .adamW
                && configuration.training.optimizer.adamW.beta1 == 0.9)
        #expect(
            try RunConfiguration<EncoderDecoderTask>(SettingsDocument(yaml: configuration.yamlText))
                == configuration)
        func problems(_ text: String) throws -> [String] {
            let error = try #require(throws: SettingsError.self) {
                try RunConfiguration<EncoderDecoderTask>(SettingsDocument(yaml: text))
            }
            return error.problems.map(\.path)
        }
        #expect(
            try problems("model: {preset: t5-2m}\ndata: {objective: lm, noise_density: 0.2, packing: true}")
                == ["data.packing", "data.noise_density"])
        #expect(
            try problems("model: {preset: t5-2m}\ndata: {tasks: [{task: sst3, path: x}], paths: [a]}")
                == ["data.tasks[0].task", "data.paths"])
        #expect(try problems("model: {preset: t5-2n}") == ["model.preset"])
    }

    @Test func `What the data or the tokenizer cannot give is said before a folder is made`() throws {
        try withFolder { folder in
            var configuration = try configuration(in: folder)
            let path = folder.path + "/run"
            configuration.task.model.endToken = 254
            configuration.task.model.paddingToken = 253
            let sentinels = try #require(throws: TrainingError.self) {
                // Bytes without sentinels.
                try TrainingRun(configuration, folder: path, tokenizer: ByteTokenizer())
            }
            #expect("\(sentinels)".contains("needs sentinels"))
            configuration.task.model.paddingToken = 0
            let padding = try #require(throws: TrainingError.self) {
                try TrainingRun(configuration, folder: path, tokenizer: ByteTokenizer())
            }
            #expect("\(padding)".contains("set padding_token (pad_token_id in config.json) to 253"))
            let evaluator = TaskEvaluator(try TinyT5.build(), tokenizer: ByteTokenizer())
            #expect(throws: TrainingError.self) { try evaluator.evaluate(.sst2, []) }
            configuration.task.model.endToken = 5
            #expect(throws: TrainingError.self) { try TrainingRun(configuration, folder: path) }
            configuration.task.model.endToken = 1
            configuration.task.data.paths = []
            #expect(throws: TrainingError.noDataPaths) { try TrainingRun(configuration, folder: path) }
            #expect(!FileManager.default.fileExists(atPath: path))
        }
    }
}
