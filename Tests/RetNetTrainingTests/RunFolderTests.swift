import Foundation
import RetNetCheckpoints
import RetNetStorage
import RetNetTestSupport
import RetNetText
import RetNetTorch
import RetNetTraining
import Testing

@Suite struct RunFolderTests {
    @Test func `A run leaves a complete folder whose model loads by any of its paths`() throws {
        try withFolder { folder in
            var configuration = try Tiny.configuration(in: folder, steps: 6)
            configuration.training.monitoring.sampleInterval = 3
            configuration.training.monitoring.samplePrompt = "Once"
            configuration.training.monitoring.sampleTokenCount = 8
            let recorder = Recorder()
            let outcome = try TrainingRun(configuration, folder: folder.path + "/run/").run(observers: [
                recorder
            ])
            let run = RunFolder(path: folder.path + "/run")
            for path in [
                run.configurationPath, run.metricsPath, run.lossCurveSVGPath, run.lossCurvePNGPath,
                run.latestPath,
                run.modelLinkPath + "/config.json", run.checkpointPath(step: 3) + "/optimizer.safetensors",
            ] { #expect(FileManager.default.fileExists(atPath: path), "\(path) is missing") }
            #expect(try FileManager.default.contentsOfDirectory(atPath: run.tensorBoardPath).count == 1)
            #expect(try String(contentsOfFile: run.latestPath, encoding: .utf8) == "step-00000006\n")
            #expect(outcome.checkpointPath == run.checkpointPath(step: 6))
            #expect(recorder.samples.count == 2)
            #expect(recorder.samples.allSatisfy { $0.hasPrefix("Once") })
            for path in [run.path, run.checkpointPath(step: 3), run.modelLinkPath] {
                let model = try ModelFolder.load(try RunFolder.modelPath(for: path), verifies: true)
                #expect(model.configuration == configuration.task.model)
                #expect(model.model.parameters.elementType == .float32)
            }
            #expect(throws: ModelFolderError.noModel(path: folder.path)) {
                try RunFolder.modelPath(for: folder.path)
            }
        }
    }

    @Test(arguments: [TrainingConfiguration.Precision.auto, .float32, .bfloat16])
    func `A run warns of bfloat16 where the processor does not multiply it, before it starts`(
        precision: TrainingConfiguration.Precision
    ) throws {
        try withFolder { folder in
            var configuration = try Tiny.configuration(in: folder, steps: 1)
            configuration.training.precision = precision
            var warnings: [String] = []
            let run = try FusedOperators.withFloat32Products {
                try TrainingRun(configuration, folder: folder.path + "/run") { warnings.append($0) }
            }
            #expect(warnings.filter { $0.contains("bfloat16") }.count == (precision == .bfloat16 ? 1 : 0))
            #expect(run.configuration.training.precision == (precision == .bfloat16 ? .bfloat16 : .float32))
        }
    }

    @Test func `Only the newest checkpoints are kept`() throws {
        try withFolder { folder in
            var configuration = try Tiny.configuration(in: folder, steps: 11)
            configuration.training.monitoring.checkpointInterval = 2
            configuration.training.monitoring.keptCheckpointCount = 2
            let path = folder.path + "/run"
            _ = try TrainingRun(configuration, folder: path).run()
            #expect(RunFolder(path: path).checkpoints().map(\.step) == [11, 10])
        }
    }

    @Test(arguments: ["model.safetensors", "optimizer.safetensors", "trainer.json", "checksums.json"])
    func `A damaged newest checkpoint is named and the one before it is used`(file: String) throws {
        try withFolder { folder in
            let configuration = try Tiny.configuration(in: folder, steps: 6)
            let path = folder.path + "/run"
            let expected = Recorder()
            _ = try TrainingRun(configuration, folder: path).run(observers: [expected])
            let run = RunFolder(path: path)
            let damaged = run.checkpointPath(step: 6) + "/" + file
            for damage in [false, true] {
                if damage {
                    try FileManager.default.removeItem(atPath: damaged)
                } else {
                    let contents = try Data(contentsOf: URL(fileURLWithPath: damaged))
                    try contents.dropLast(contents.count / 2).write(to: URL(fileURLWithPath: damaged))
                }
                var warnings: [String] = []
                #expect(try run.newestWholeCheckpoint { warnings.append($0) }?.step == 3)
                #expect(warnings.count == 1)
                #expect(warnings.first?.contains("step-00000006") == true)
            }
            let resumed = try TrainingRun(configuration, folder: path, resume: true)
            #expect(resumed.resumedStep == 3)
            let recorder = Recorder()
            _ = try resumed.run(observers: [recorder])
            #expect(recorder.losses == expected.losses.filter { $0.key > 3 })
            #expect(try run.newestWholeCheckpoint()?.step == 6)
        }
    }

    @Test func `Without any whole checkpoint the error gives all reasons`() throws {
        try withFolder { folder in
            let configuration = try Tiny.configuration(in: folder, steps: 4)
            let path = folder.path + "/run"
            _ = try TrainingRun(configuration, folder: path).run()
            let run = RunFolder(path: path)
            for (_, checkpoint) in run.checkpoints() {
                try FileManager.default.removeItem(atPath: checkpoint + "/model.safetensors")
            }
            let error = #expect(throws: ModelFolderError.self) { try run.newestWholeCheckpoint() }
            #expect(error?.description.contains("step-00000003") == true)
            #expect(throws: ModelFolderError.self) {
                try TrainingRun(configuration, folder: path, resume: true)
            }
        }
    }

    @Test func `Leftovers of interrupted saves are removed when the run is resumed`() throws {
        try withFolder { folder in
            let configuration = try Tiny.configuration(in: folder, steps: 4)
            let path = folder.path + "/run"
            _ = try TrainingRun(configuration, folder: path).run()
            let leftover = RunFolder(path: path).checkpointsPath + "/.step-00000009.tmp-0123456789abcdef"
            try FileManager.default.createDirectory(atPath: leftover, withIntermediateDirectories: false)
            _ = try TrainingRun(configuration, folder: path, resume: true)
            #expect(!FileManager.default.fileExists(atPath: leftover))
        }
    }

    @Test func `An occupied folder, a missing one and one in use are refused`() throws {
        try withFolder { folder in
            let configuration = try Tiny.configuration(in: folder, steps: 2)
            let path = folder.path + "/run"
            #expect(throws: TrainingError.nothingToResume(path: path)) {
                try TrainingRun(configuration, folder: path, resume: true)
            }
            var run: TrainingRun<LanguageModelTask>? = try TrainingRun(configuration, folder: path)
            for resume in [false, true] {
                #expect(throws: TrainingError.runInUse(path: path)) {
                    try TrainingRun(configuration, folder: path, resume: resume)
                }
            }
            _ = try run?.run()
            run = nil
            #expect(throws: TrainingError.runExists(path: path)) {
                try TrainingRun(configuration, folder: path)
            }
            #expect(throws: StorageError.notFolder(path: configuration.task.data.paths[0])) {
                try TrainingRun(configuration, folder: configuration.task.data.paths[0])
            }
        }
    }

    @Test func `A run that starts while another reads its data is refused and changes nothing`() throws {
        try withFolder { folder in
            let configuration = try Tiny.configuration(in: folder, steps: 2)
            let path = folder.path + "/run"
            var names: [[String]] = []
            let tokenizer = CallingTokenizer {
                guard names.isEmpty else { return }
                for resume in [false, true] {
                    #expect(throws: TrainingError.runInUse(path: path)) {
                        try TrainingRun(configuration, folder: path, resume: resume)
                    }
                }
                names.append((try? FileManager.default.contentsOfDirectory(atPath: path)) ?? [])
            }
            _ = try TrainingRun(configuration, folder: path, tokenizer: tokenizer).run()
            #expect(names == [["run.lock"]])
            #expect(RunFolder(path: path).checkpoints().map(\.step) == [2])
        }
    }

    @Test func `A run that cannot begin leaves no folder, and the rest of one that died is no obstacle`()
        throws
    {
        try withFolder { folder in
            var configuration = try Tiny.configuration(in: folder, steps: 2)
            let path = folder.path + "/new/run"
            let text = configuration.task.data.paths
            configuration.task.data.paths = [folder.path + "/missing.txt"]
            #expect(throws: StorageError.self) { try TrainingRun(configuration, folder: path) }
            #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path) == ["stories.txt"])
            // A process that was killed while it read its data.
            try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
            try Data().write(to: URL(fileURLWithPath: path + "/run.lock"))
            #expect(throws: StorageError.self) { try TrainingRun(configuration, folder: path) }
            #expect(try FileManager.default.contentsOfDirectory(atPath: path) == ["run.lock"])
            configuration.task.data.paths = text
            #expect(try TrainingRun(configuration, folder: path, resume: true).resumedStep == nil)
            try FileManager.default.removeItem(atPath: path)
            try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
            try Data().write(to: URL(fileURLWithPath: path + "/run.lock"))
            #expect(try TrainingRun(configuration, folder: path).run().step == 2)
        }
    }

    @Test func `When saving fails the earlier checkpoint is intact and training stops`() throws {
        try withFolder { folder in
            let configuration = try Tiny.configuration(in: folder, steps: 9)
            let path = folder.path + "/run"
            let run = RunFolder(path: path)
            final class Blocker: TrainingObserver {
                let path: String
                init(_ path: String) { self.path = path }
                // A file under the name of the next checkpoint: it cannot be replaced by a folder.
                func trainingDidSave(step: Int, path: String) throws {
                    if step == 3 { try Data().write(to: URL(fileURLWithPath: self.path)) }
                }
            }
            #expect(throws: StorageError.self) {
                try TrainingRun(configuration, folder: path).run(observers: [
                    Blocker(run.checkpointPath(step: 6))
                ])
            }
            try FileManager.default.removeItem(atPath: run.checkpointPath(step: 6))
            #expect(try run.newestWholeCheckpoint()?.step == 3)
            let names = try FileManager.default.contentsOfDirectory(atPath: run.checkpointsPath)
            #expect(names.sorted() == ["latest", "step-00000003"])
        }
    }
}

/// The byte tokenizer, which calls a function before it encodes.
private struct CallingTokenizer: Tokenizer {
    private let base = ByteTokenizer()
    // The tests read their data on one thread.
    nonisolated(unsafe) private let body: () -> Void

    init(_ body: @escaping () -> Void) { self.body = body }

    var vocabularySize: Int { base.vocabularySize }
    var beginToken: Int32? { base.beginToken }
    var endToken: Int32? { base.endToken }
    var paddingToken: Int32? { base.paddingToken }
    var identity: String { base.identity }

    func encode(utf8 bytes: UnsafeRawBufferPointer) -> [Int32] {
        body()
        return base.encode(utf8: bytes)
    }

    func bytes(of token: Int32) -> [UInt8] { base.bytes(of: token) }

    func save(to folder: String) throws { try base.save(to: folder) }
}
