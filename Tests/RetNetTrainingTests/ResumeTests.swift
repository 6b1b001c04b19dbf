import Foundation
import RetNetCheckpoints
import RetNetModels
import RetNetReporting
import RetNetStorage
import RetNetTestSupport
import RetNetText
import RetNetTorch
import RetNetTraining
import Testing

@Suite struct ResumeTests {
    struct Variant: Sendable, CustomTestStringConvertible {
        var mode: TextDataConfiguration.Mode
        var resets: Bool
        var accumulation: Int
        var hasBlocksAndExperts = false
        var testDescription: String {
            "\(mode), resets \(resets), accumulation \(accumulation)"
                + (hasBlocksAndExperts ? ", blocks, sequence and experts" : "")
        }
    }

    private func configuration(_ variant: Variant, in folder: URL) throws -> RunConfiguration<
        LanguageModelTask
    > {
        var configuration = try Tiny.configuration(in: folder, steps: 10)
        configuration.task.model = Tiny.model(dropout: 0.15)
        if variant.hasBlocksAndExperts {
            configuration.task.model.altUp = AltUpConfiguration(
                kind: .recycled, sequence: SequenceReductionConfiguration(stride: 3, lastLayer: 1))
            configuration.task.model.feedForward.experts = ExpertsConfiguration(count: 3)
        }
        configuration.task.data.mode = variant.mode
        configuration.task.data.resetsAtDocuments = variant.resets
        configuration.training.accumulationCount = variant.accumulation
        configuration.training.lossGuard.spikeZScore = 3
        configuration.training.lossGuard.window = 8
        // Samples draw random numbers too, which must not disturb the run.
        configuration.training.monitoring.sampleInterval = 5
        configuration.training.monitoring.sampleTokenCount = 3
        return configuration
    }

    @Test(arguments: [
        Variant(mode: .shuffled, resets: true, accumulation: 2),
        Variant(mode: .contiguous, resets: true, accumulation: 1),
        Variant(mode: .contiguous, resets: false, accumulation: 2),
        Variant(mode: .contiguous, resets: true, accumulation: 1, hasBlocksAndExperts: true),
    ])
    func `An interrupted and resumed run has the same losses, weights and records as an uninterrupted one`(
        variant: Variant
    ) throws {
        try withFolder { folder in
            let configuration = try configuration(variant, in: folder)
            let whole = folder.appendingPathComponent("whole").path
            let expected = Recorder()
            let outcome = try TrainingRun(configuration, folder: whole).run(observers: [expected])
            #expect(outcome.reason == .finished)
            #expect(expected.losses.count == 10)
            for stops in [[1], [4, 6, 9]] {
                let path = folder.appendingPathComponent("stops \(stops)").path
                let recorder = Recorder()
                for stop in stops {
                    let flag = InterruptFlag()
                    recorder.stop = (stop, flag)
                    let run = try TrainingRun(configuration, folder: path, resume: stop != stops[0])
                    let outcome = try run.run(interrupt: flag, observers: [recorder])
                    #expect(outcome.reason == .interrupted)
                    #expect(outcome.step == stop)
                }
                recorder.stop = nil
                let last = try TrainingRun(configuration, folder: path, resume: true)
                #expect(last.resumedStep == stops.last)
                #expect(try last.run(observers: [recorder]).reason == .finished)
                #expect(recorder.losses == expected.losses)
                #expect(recorder.validations == expected.validations)
                try expectSameFiles(whole, path)
            }
        }
    }

    private func expectSameFiles(_ first: String, _ second: String) throws {
        for name in ["model.safetensors", "optimizer.safetensors", "trainer.json"] {
            let (a, b) = (RunFolder(path: first), RunFolder(path: second))
            let (left, right) = (
                a.checkpointPath(step: 10) + "/" + name, b.checkpointPath(step: 10) + "/" + name
            )
            #expect(FileManager.default.contentsEqual(atPath: left, andPath: right), "\(name) differs")
        }
        #expect(try recordedLosses(first) == recordedLosses(second))
    }

    private func recordedLosses(_ path: String) throws -> [[Double]] {
        try JSONLinesLog.records(at: RunFolder(path: path).metricsPath).compactMap { record in
            guard let step = record["step"]?.doubleValue,
                let loss = record["loss"]?.doubleValue ?? record["validation_loss"]?.doubleValue
            else { return nil }
            let bits = record["bits_per_byte"] ?? record["validation_bits_per_byte"]
            return [step, loss] + (bits?.doubleValue.map { [$0] } ?? [])
        }
    }

    @Test func `A run killed between checkpoints resumes from the last one without double records`() throws {
        struct Killed: Error {}
        final class Killer: TrainingObserver {
            func trainingDidStep(_ step: TrainingStep) throws { if step.step == 8 { throw Killed() } }
        }
        try withFolder { folder in
            let variant = Variant(mode: .contiguous, resets: false, accumulation: 1)
            let configuration = try configuration(variant, in: folder)
            let (whole, path) = (folder.path + "/whole", folder.path + "/killed")
            _ = try TrainingRun(configuration, folder: whole).run()
            #expect(throws: Killed.self) {
                try TrainingRun(configuration, folder: path).run(observers: [Killer()])
            }
            let run = try TrainingRun(configuration, folder: path, resume: true)
            #expect(run.resumedStep == 6)
            _ = try run.run()
            try expectSameFiles(whole, path)
        }
    }

    @Test func `A run killed before its first checkpoint starts again`() throws {
        try withFolder { folder in
            let configuration = try Tiny.configuration(in: folder, steps: 4)
            let path = folder.path + "/run"
            do {
                let run = try TrainingRun(configuration, folder: path)
                _ = try run.trainer.makeStep()
            }
            let run = try TrainingRun(configuration, folder: path, resume: true)
            #expect(run.resumedStep == nil)
            #expect(try run.run().step == 4)
        }
    }

    @Test func `A finished run can be made longer`() throws {
        try withFolder { folder in
            var configuration = try Tiny.configuration(in: folder, steps: 3)
            let path = folder.path + "/run"
            _ = try TrainingRun(configuration, folder: path).run()
            #expect(try TrainingRun(configuration, folder: path, resume: true).run().loss == nil)
            configuration.training.duration = .steps(5)
            configuration.training.monitoring.logInterval = 2
            let outcome = try TrainingRun(configuration, folder: path, resume: true).run()
            #expect(outcome.step == 5)
            #expect(try RunConfiguration<LanguageModelTask>(runFolder: path).training.duration == .steps(5))
        }
    }

    @Test func `Changed settings that decide the run are named`() throws {
        try withFolder { folder in
            var configuration = try Tiny.configuration(in: folder, steps: 2)
            let path = folder.path + "/run"
            _ = try TrainingRun(configuration, folder: path).run()
            configuration.training.optimizer.learningRate = 5e-3
            configuration.task.data.batchSize = 2
            configuration.training.monitoring.checkpointInterval = 100
            #expect(
                throws: TrainingError.configurationChanged(keys: [
                    "data.batch_size", "optimizer.learning_rate",
                ])
            ) {
                try TrainingRun(configuration, folder: path, resume: true)
            }
        }
    }

    @Test func `Changed training text is refused`() throws {
        try withFolder { folder in
            let configuration = try Tiny.configuration(in: folder, steps: 2)
            let path = folder.path + "/run"
            _ = try TrainingRun(configuration, folder: path).run()
            let text = try #require(configuration.task.data.paths.first)
            let contents = try String(contentsOfFile: text, encoding: .utf8)
            try ("X" + contents.dropFirst()).write(toFile: text, atomically: true, encoding: .utf8)
            #expect(throws: TextError.self) { try TrainingRun(configuration, folder: path, resume: true) }
        }
    }

    @Test(arguments: [RunDuration.steps(30), .epochs(0.5)])
    func `A run that is extended keeps the warm-up that it began with`(duration: RunDuration) throws {
        try withFolder { folder in
            var configuration = try Tiny.configuration(in: folder, steps: 30)
            configuration.training.duration = duration
            configuration.training.schedule.warmupStepCount = 1000
            configuration.training.schedule.warmupShare = 0.1
            let path = folder.appendingPathComponent("run").path
            let run = try TrainingRun(configuration, folder: path)
            let warmup = run.configuration.training.schedule.warmupStepCount
            #expect(warmup == run.trainer.stepCount / 10)
            #expect(warmup >= 2)
            let flag = InterruptFlag()
            let recorder = Recorder()
            recorder.stop = (3, flag)
            _ = try run.run(interrupt: flag, observers: [recorder])
            let written = try RunConfiguration<LanguageModelTask>(runFolder: path).training.schedule
            #expect(written.warmupStepCount == warmup)
            #expect(written.warmupShare == 1)
        }
    }

    @Test func `Longer settings of the same preset resume with the warm-up of the run, not their own`() throws
    {
        try withFolder { folder in
            var configuration = try Tiny.configuration(in: folder, steps: 30)
            configuration.training.schedule.warmupStepCount = 1000
            configuration.training.schedule.warmupShare = 0.1
            let path = folder.appendingPathComponent("run").path
            _ = try TrainingRun(configuration, folder: path).run()
            configuration.training.duration = .steps(60)
            let resumed = try TrainingRun(configuration, folder: path, resume: true)
            #expect(resumed.configuration.training.schedule.warmupStepCount == 3)
            #expect(resumed.trainer.schedule.configuration.warmupStepCount == 3)
            #expect(try resumed.run().step == 60)
        }
    }
}
