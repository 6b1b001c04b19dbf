import Foundation
import RetNetCheckpoints
import RetNetModels
import RetNetSettings
import RetNetText
import RetNetTorch
import RetNetTraining
import Testing

@Suite struct T5RunTests {
    private func configuration(in folder: URL, altUp: AltUpConfiguration? = nil, tasks: Bool = false) throws
        -> T5TrainingConfiguration
    {
        var configuration = T5TrainingConfiguration(model: TinyT5.configuration(altUp: altUp, dropout: 0.1))
        configuration.data.inputLength = 32
        configuration.data.batchSize = 2
        if tasks {
            let lines = (0..<20).map { index in
                "{\"sentence\": \"word \(index * 37 % 11)\", \"label\": \(index % 2)}"
            }.joined(separator: "\n")
            let path = folder.appendingPathComponent("task.jsonl").path
            try lines.write(toFile: path, atomically: true, encoding: .utf8)
            configuration.data.tasks = [
                T5TaskConfiguration(task: .sst2, path: path, validationPath: path),
                T5TaskConfiguration(task: .cola, path: path),
            ]
            configuration.data.inputLength = 64
            configuration.data.targetLength = 32
        } else {
            let path = folder.appendingPathComponent("text.txt").path
            var generator = StoryGenerator(seed: 5)
            try generator.corpus(byteCount: 3000).text.write(
                toFile: path, atomically: true, encoding: .utf8)
            configuration.data.paths = [path]
            configuration.data.validationFraction = 0.1
        }
        configuration.precision = .float32
        configuration.schedule.warmupStepCount = 3
        configuration.duration = .steps(8)
        configuration.accumulationCount = 2
        configuration.monitoring.logInterval = 1
        configuration.monitoring.evaluationInterval = 4
        configuration.monitoring.evaluationBatchCount = 2
        configuration.monitoring.sampleInterval = 3
        configuration.monitoring.samplePrompt = "once"
        configuration.monitoring.sampleTokenCount = 3
        configuration.monitoring.checkpointInterval = 3
        configuration.monitoring.keptCheckpointCount = 0
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
            let outcome = try T5TrainingRun(configuration, folder: whole).run(observers: [expected])
            #expect(outcome.reason == .finished && expected.losses.count == 8)
            #expect(outcome.validation?.accuracy != nil && outcome.validation?.bitsPerByte == nil)
            #expect(expected.samples.count == 2 && expected.samples.allSatisfy { $0.hasPrefix("once\n") })
            let path = folder.appendingPathComponent("stopped").path
            let recorder = Recorder()
            for stop in [2, 5] {
                let flag = InterruptFlag()
                recorder.stop = (stop, flag)
                let run = try T5TrainingRun(configuration, folder: path, resume: stop > 2)
                #expect(try run.run(interrupt: flag, observers: [recorder]).reason == .interrupted)
            }
            recorder.stop = nil
            let last = try T5TrainingRun(configuration, folder: path, resume: true)
            #expect(last.resumedStep == 5)
            _ = try last.run(observers: [recorder])
            #expect(recorder.losses == expected.losses)
            #expect(recorder.validations == expected.validations)
            expectSameFiles(whole, path, step: 8)
            // A checkpoint is a model folder that knows its stacks and its tokenizer.
            let loaded = try T5Folder.load(RunFolder.modelPath(for: path))
            #expect(loaded.configuration == configuration.model)
            #expect(try loaded.tokenizer.identity == SentinelByteTokenizer().identity)
        }
    }

    @Test func `A run begins from a folder's weights with another dropout, and with nothing else changed`()
        throws
    {
        try withFolder { folder in
            let first = try configuration(in: folder)
            let path = folder.path + "/first"
            _ = try T5TrainingRun(first, folder: path).run()
            let base: SettingsTree = [
                "initial_model": .string(path),
                "data": ["tasks": [["task": .string("sst2"), "path": .string(folder.path + "/task.jsonl")]]],
                "model": ["dropout": .double(0.25)],
            ]
            _ = try configuration(in: folder, tasks: true)
            var second = try T5TrainingConfiguration(SettingsDocument(base))
            #expect(second.model.dropout == 0.25 && second.optimizer.learningRate == 1e-3)
            #expect(second.schedule.kind == .constant && second.data.isPacked)
            second.duration = .steps(1)
            let run = try T5TrainingRun(second, folder: folder.path + "/second")
            let loaded = try T5Folder.load(RunFolder.modelPath(for: path))
            for entry in loaded.model.parameters.entries {
                let own = try #require(run.trainer.model.parameters[entry.name])
                #expect(try own.detached().doubles() == entry.tensor.doubles(), "\(entry.name)")
            }
            second.model.hiddenSize = 32
            #expect(throws: (any Error).self) {
                try T5TrainingRun(second, folder: folder.path + "/third")
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
        let configuration = try T5TrainingConfiguration(
            SettingsDocument(yaml: text), assignments: ["data.batch_size=4", "model.altup.blocks=4"])
        #expect(configuration.model.altUp?.blockCount == 4 && configuration.data.batchSize == 4)
        #expect(configuration.optimizer.kind == .adamW && configuration.optimizer.beta1 == 0.9)
        #expect(
            try T5TrainingConfiguration(SettingsDocument(yaml: configuration.yamlText)) == configuration)
        func problems(_ text: String) throws -> [String] {
            let error = try #require(throws: SettingsError.self) {
                try T5TrainingConfiguration(SettingsDocument(yaml: text))
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
            configuration.model.endToken = 254
            #expect(throws: TrainingError.self) {
                // Bytes without sentinels.
                try T5TrainingRun(configuration, folder: path, tokenizer: ByteTokenizer())
            }
            configuration.model.endToken = 5
            #expect(throws: TrainingError.self) { try T5TrainingRun(configuration, folder: path) }
            configuration.model.endToken = 1
            configuration.data.paths = []
            #expect(throws: TrainingError.noDataPaths) { try T5TrainingRun(configuration, folder: path) }
            #expect(!FileManager.default.fileExists(atPath: path))
        }
    }
}
