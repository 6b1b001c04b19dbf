import Foundation
import RetNetDistributed
import RetNetLayers
import RetNetModels
import RetNetStorage
import RetNetTestSupport
import RetNetText
import RetNetTorch
import Testing

@testable import RetNetTraining

/// Several ranks, each a thread, train what one process trains.
@Suite struct ReplicasTests {
    struct Variant: Sendable, CustomTestStringConvertible {
        var mode = TextDataConfiguration.Mode.shuffled
        var resets = true
        var accumulation = 1
        var hasExperts = false
        var recomputes = false
        var type = ElementType.float64
        var testDescription: String {
            "\(mode), resets \(resets), accumulation \(accumulation)" + (hasExperts ? ", experts" : "")
                + (recomputes ? ", recomputing" : "") + ", \(type)"
        }
    }

    /// What a rank has after its steps.
    struct Course: Sendable, Equatable {
        var losses: [Double] = []
        var norms: [Double] = []
        var tokenCounts: [Int] = []
        var byteCounts: [Int?] = []
        var auxiliary: [[String: Double]] = []
        var weights: [[Double]] = []
    }

    private static func training(_ change: (inout TrainingConfiguration) -> Void = { _ in })
        -> TrainingConfiguration
    {
        var training = TrainingConfiguration()
        training.optimizer.learningRate = 1e-2
        // So that every step is clipped.
        training.optimizer.clipNorm = 0.3
        training.schedule.warmupStepCount = 2
        training.duration = .steps(6)
        change(&training)
        return training
    }

    private static func course(
        _ variant: Variant, _ group: ProcessGroup?, rows: Int = 6,
        _ distribution: DistributionConfiguration = .init()
    ) throws -> Course {
        // A short text, so that windows at its ends are padded.
        let stream = try Tiny.stream(byteCount: 700)
        let source: any BatchSource =
            variant.mode == .shuffled
            ? try ShuffledWindows(stream: stream, rowCount: rows, length: 30, seed: 3)
            : try ContiguousWindows(
                stream: stream, rowCount: rows, length: 30, seed: 3, cutsAtDocuments: variant.resets)
        var configuration = Tiny.model()
        if variant.hasExperts {
            configuration.feedForward.experts = ExpertsConfiguration(
                count: 3, balanceLoss: 0.1, jitter: 0)
        }
        let model = try Tiny.build(configuration, type: variant.type)
        model.recomputesActivations = variant.recomputes
        let task = try LanguageModelTask(model, source: source, carriesState: variant.mode == .contiguous)
        let trainer = try Trainer(
            task, training { $0.accumulationCount = variant.accumulation },
            replicas: group.map { try Replicas($0, distribution) })
        return try course(of: trainer)
    }

    private static func course(of trainer: Trainer<some TrainingTask>) throws -> Course {
        var course = Course()
        try trainer.makeSteps { step in
            course.losses.append(step.loss)
            course.norms.append(step.gradientNorm)
            course.tokenCounts.append(step.tokenCount)
            course.byteCounts.append(step.byteCount)
            course.auxiliary.append(step.auxiliary)
            return true
        }
        course.weights = try trainer.task.parameters.tensors.map { try $0.to(.float64).doubles() }
        return course
    }

    private static func check(_ found: Course, equals expected: Course, tolerance: Double) {
        #expect(found.losses.count == expected.losses.count && !found.losses.isEmpty)
        for (a, b) in zip(found.losses + found.norms, expected.losses + expected.norms) {
            #expect(abs(a - b) <= tolerance * abs(b), "\(a) instead of \(b)")
        }
        #expect(found.tokenCounts == expected.tokenCounts)
        #expect(found.byteCounts == expected.byteCounts)
        for (a, b) in zip(found.auxiliary, expected.auxiliary) {
            #expect(a.keys.sorted() == b.keys.sorted())
            for (name, value) in b { #expect(abs((a[name] ?? -1) - value) <= tolerance * max(1, abs(value))) }
        }
        let differences = zip(found.weights.joined(), expected.weights.joined()).map { abs($0 - $1) }
        #expect(differences.reduce(0, max) <= tolerance * 10)
    }

    @Test(
        arguments: [
            Variant(), Variant(accumulation: 4), Variant(mode: .contiguous),
            Variant(mode: .contiguous, resets: false, accumulation: 3),
            Variant(accumulation: 4, hasExperts: true),
            Variant(recomputes: true), Variant(type: .float32),
            Variant(mode: .contiguous, accumulation: 2, type: .float32),
        ])
    func `The same run on one, two and four ranks learns the same`(variant: Variant) throws {
        let expected = try Self.course(variant, nil)
        // Weights move by the sign of gradients near zero, so that float32 is exact in losses only for a few steps.
        let tolerance = variant.type == .float64 ? 1e-9 : 2e-4
        for count in [2, 4] {
            let courses = try onRanks(count) { try Self.course(variant, $0) }.map { try $0.get() }
            for course in courses {
                Self.check(course, equals: expected, tolerance: tolerance)
                // All copies have the same bits.
                #expect(course == courses[0])
            }
        }
    }

    @Test func `An encoder-decoder on two ranks learns what it learns on one`() throws {
        @Sendable func course(_ group: ProcessGroup?, accumulation: Int) throws -> Course {
            let mixture = try TextToTextMixture(
                tasks: [.init(name: "pairs", examples: TinyT5.pairs(20))], shares: [1], rowCount: 4,
                inputLength: 16, targetLength: 8, isPacked: true, seed: 5)
            let task = EncoderDecoderTask(try TinyT5.build(type: .float64), source: mixture)
            let trainer = try Trainer(
                task, Self.training { $0.accumulationCount = accumulation },
                replicas: group.map { try Replicas($0) })
            return try Self.course(of: trainer)
        }
        for accumulation in [1, 2] {
            let expected = try course(nil, accumulation: accumulation)
            for result in try onRanks(2, { try course($0, accumulation: accumulation) }) {
                Self.check(try result.get(), equals: expected, tolerance: 1e-9)
            }
        }
    }

    @Test func `Gradients summed in bfloat16 learn about the same, and not the same bits`() throws {
        let expected = try Self.course(Variant(type: .float32), nil)
        var narrow = DistributionConfiguration()
        narrow.reduction = .bfloat16
        let distribution = narrow
        let courses = try onRanks(2) { try Self.course(Variant(type: .float32), $0, distribution) }
            .map { try $0.get() }
        #expect(courses[0] == courses[1])
        #expect(courses[0].losses != expected.losses)
        for (a, b) in zip(courses[0].losses, expected.losses) { #expect(abs(a - b) < 0.02 * b) }
    }

    @Test(arguments: OptimizerConfiguration.Kind.allCases)
    func `A sharded optimizer makes the same updates, and its state is saved whole`(
        kind: OptimizerConfiguration.Kind
    ) throws {
        try withFolder { folder in
            var configuration = try Tiny.configuration(in: folder, steps: 6)
            configuration.training.optimizer = OptimizerConfiguration(kind)
            configuration.training.optimizer.clipNorm = 0.3
            func path(_ name: String) -> String { folder.appendingPathComponent(name).path }
            let whole = try train(configuration, in: path("whole"), ranks: 2)
            configuration.training.distribution.shardsOptimizer = true
            let parts = try train(configuration, in: path("sharded"), ranks: 2)
            #expect(parts[0] == parts[1])
            for (step, loss) in whole[0] { #expect(abs((parts[0][step] ?? 0) - loss) < 1e-6 * loss) }
            let name = "/model/optimizer.safetensors"
            let sizes = try ["whole", "sharded"].map {
                try FileManager.default.attributesOfItem(atPath: path($0) + name)[.size] as? Int
            }
            // The same tensors; their order in the file may differ, and with it the padding.
            #expect(abs((sizes[0] ?? 0) - (sizes[1] ?? 1 << 30)) < 64)
            configuration.training.duration = .steps(8)
            let alone = try train(configuration, in: path("sharded"), ranks: 1, resume: true)
            configuration.training.distribution.shardsOptimizer = false
            let together = try train(configuration, in: path("whole"), ranks: 2, resume: true)
            #expect(alone[0].keys.sorted() == [7, 8])
            for (step, loss) in together[0] { #expect(abs((alone[0][step] ?? 0) - loss) < 1e-4 * loss) }
        }
    }

    @Test func `A sharded optimizer keeps its share of the state`() throws {
        let shares = try onRanks(3) { group in
            let source = try ShuffledWindows(stream: Tiny.stream(), rowCount: 3, length: 16, seed: 3)
            var distribution = DistributionConfiguration()
            distribution.shardsOptimizer = true
            let trainer = try Trainer(
                LanguageModelTask(Tiny.build(), source: source), Self.training(),
                replicas: Replicas(group, distribution))
            let count = trainer.optimizer.state.reduce(0) { $0 + $1.tensor.elementCount }
            return Double(count) / Double(2 * trainer.task.parameters.parameterCount)
        }.map { try $0.get() }
        #expect(abs(shares.reduce(0, +) - 1) < 1e-9)
        // The embedding is half of this model, and is not divided.
        #expect(shares.allSatisfy { $0 > 0.1 && $0 < 0.6 }, "\(shares)")
    }

    @Test func `More ranks than rows of a pass are refused`() throws {
        let results = try onRanks(3) { try Self.course(Variant(), $0, rows: 2) }
        for case .failure(let error) in results {
            #expect(error as? TrainingError == .tooManyRanks(rankCount: 3, rowCount: 2))
        }
        #expect(results.allSatisfy { (try? $0.get()) == nil })
    }

    @Test func `Shares cover every row once`() {
        for rows in 1...9 {
            for count in 1...4 {
                let all = (0..<count).flatMap { Array(BatchShare(rank: $0, count: count).rows(of: rows)) }
                #expect(all == Array(0..<rows))
            }
        }
    }

    // MARK: Runs in a folder

    /// Runs on ranks, each of which trains in the same folder; returns the losses by step that rank 0 saw.
    private func train(
        _ configuration: RunConfiguration<LanguageModelTask>, in path: String, ranks count: Int,
        resume: Bool = false, stop: (rank: Int, step: Int)? = nil
    ) throws -> [[Int: Double]] {
        if count == 1 {
            let recorder = Recorder()
            _ = try TrainingRun(configuration, folder: path, resume: resume).run(observers: [recorder])
            return [recorder.losses]
        }
        return try onRanks(count) { group in
            let run = try TrainingRun(configuration, folder: path, resume: resume, group: group)
            let recorder = Recorder()
            let flag = InterruptFlag()
            if let stop, stop.rank == group.rank { recorder.stop = (stop.step, flag) }
            let outcome = try run.run(interrupt: flag, observers: [recorder])
            #expect(outcome.reason == (stop == nil ? .finished : .interrupted))
            return recorder.losses
        }.map { try $0.get() }
    }

    @Test(arguments: [TextDataConfiguration.Mode.shuffled, .contiguous])
    func `A run is resumed bit for bit on as many ranks, and to rounding on others`(
        mode: TextDataConfiguration.Mode
    ) throws {
        try withFolder { folder in
            var configuration = try Tiny.configuration(in: folder, steps: 8)
            configuration.task.data.mode = mode
            configuration.task.data.batchSize = 4
            // The length of the run changes on the way.
            configuration.training.schedule.kind = .constant
            func path(_ name: String) -> String { folder.appendingPathComponent(name).path }
            let alone = try train(configuration, in: path("alone"), ranks: 1)[0]
            // The whole run, with dropout, and the same in two parts: rank 1 asks for the stop.
            var dropping = configuration
            dropping.task.model = Tiny.model(dropout: 0.2)
            let whole = try train(dropping, in: path("whole"), ranks: 2)
            #expect(whole[0] == whole[1] && whole[0].count == 8)
            let first = try train(dropping, in: path("parts"), ranks: 2, stop: (rank: 1, step: 4))
            #expect(first[0].keys.sorted() == first[1].keys.sorted())
            #expect(try #require(first[0].keys.max()) < 8)
            let rest = try train(dropping, in: path("parts"), ranks: 2, resume: true)
            #expect(first[0].merging(rest[0]) { $1 } == whole[0])
            #expect(rest[0].keys.min() == (first[0].keys.max() ?? 0) + 1)
            // Without dropout, on other numbers of ranks.
            let stopped = try train(configuration, in: path("moving"), ranks: 2, stop: (rank: 0, step: 3))
            var losses = stopped[0]
            for (count, steps) in [(4, 6), (1, 8)] {
                configuration.training.duration = .steps(steps)
                let more = try train(configuration, in: path("moving"), ranks: count, resume: true)
                losses.merge(more[0]) { $1 }
            }
            #expect(losses.count == 8)
            for (step, loss) in alone {
                #expect(abs((losses[step] ?? 0) - loss) < 1e-3 * loss, "step \(step)")
            }
            let names = try FileManager.default.contentsOfDirectory(atPath: path("moving/ranks")).sorted()
            #expect(names == (0..<4).map { "rank-\($0).jsonl" })
        }
    }

    @Test func `Ranks with another seed or another text are refused by name, and no folder stays`() throws {
        try withFolder { folder in
            let configuration = try Tiny.configuration(in: folder, steps: 2)
            let other = folder.appendingPathComponent("other.txt")
            try String(repeating: "Another text. ", count: 500).write(
                to: other, atomically: true, encoding: .utf8)
            let path = folder.appendingPathComponent("run").path
            typealias Change = @Sendable (inout RunConfiguration<LanguageModelTask>) -> Void
            let changes: [(String, Change)] = [
                ("seed", { $0.training.seed = 7 }),
                ("text or examples", { $0.task.data.paths = [other.path] }),
                ("optimizer.clip_norm", { $0.training.optimizer.clipNorm = 1 }),
            ]
            for (name, change) in changes {
                let results = try onRanks(2) { group in
                    var own = configuration
                    if group.rank == 1 { change(&own) }
                    _ = try TrainingRun(own, folder: path, group: group)
                }
                for result in results {
                    guard case .different(1, name, _, _)? = failure(result) else {
                        Issue.record("\(name): \(result)")
                        continue
                    }
                }
                #expect(!FileManager.default.fileExists(atPath: path))
            }
        }
    }
}
