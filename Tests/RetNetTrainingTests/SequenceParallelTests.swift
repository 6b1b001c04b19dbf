import Foundation
import RetNetDistributed
import RetNetLayers
import RetNetMixers
import RetNetModels
import RetNetTestSupport
import RetNetText
import RetNetTorch
import Testing

@testable import RetNetTraining

/// Ranks that hold parts of every sequence train what one process trains.
@Suite struct SequenceParallelTests {
    struct Variant: Sendable, CustomTestStringConvertible {
        var name = "retention"
        var model = Tiny.model()
        var mode = TextDataConfiguration.Mode.shuffled
        var resets = true
        var accumulation = 1
        var recomputes = false
        var form = MixerForm.parallel
        var type = ElementType.float64
        var meshes = [MeshShape(sequence: 2)]
        var testDescription: String {
            "\(name), \(mode), resets \(resets), accumulation \(accumulation), \(form)"
                + (recomputes ? ", recomputing" : "") + ", \(type)"
        }
    }

    struct Course: Sendable {
        var losses: [Double] = []
        var norms: [Double] = []
        var tokenCounts: [Int] = []
        var auxiliary: [[String: Double]] = []
        var weights: [Double] = []
    }

    private static func course(_ variant: Variant, _ group: ProcessGroup?, _ mesh: MeshShape) throws -> Course
    {
        // A short text, so that windows at its ends are padded; the length is odd.
        let stream = try Tiny.stream(byteCount: 900)
        let source: any BatchSource =
            variant.mode == .shuffled
            ? try ShuffledWindows(stream: stream, rowCount: 4, length: 29, seed: 3)
            : try ContiguousWindows(
                stream: stream, rowCount: 4, length: 29, seed: 3, cutsAtDocuments: variant.resets)
        let model = try Tiny.build(variant.model, type: variant.type)
        model.recomputesActivations = variant.recomputes
        let task = try LanguageModelTask(
            model, source: source, form: variant.form, carriesState: variant.mode == .contiguous)
        var training = TrainingConfiguration()
        training.optimizer.learningRate = 1e-2
        training.optimizer.clipNorm = 0.3
        training.schedule.warmupStepCount = 2
        training.duration = .steps(3)
        training.accumulationCount = variant.accumulation
        training.distribution.mesh = MeshRequest(mesh)
        let trainer = try Trainer(
            task, training, replicas: group.map { try Replicas($0, training.distribution) })
        var course = Course()
        try trainer.makeSteps { step in
            course.losses.append(step.loss)
            course.norms.append(step.gradientNorm)
            course.tokenCounts.append(step.tokenCount)
            course.auxiliary.append(step.auxiliary)
            return true
        }
        course.weights = try task.parameters.tensors.flatMap { try $0.to(.float64).doubles() }
        return course
    }

    private static func model(
        _ layers: [MixerConfiguration], _ change: (inout LanguageModelConfiguration) -> Void = { _ in }
    )
        -> LanguageModelConfiguration
    {
        var model = Tiny.model()
        model.pattern = layers.map { LayerConfiguration(mixer: $0, feedForward: model.feedForward) }
        model.layerCount = layers.count
        change(&model)
        return model
    }

    private static let variants: [Variant] = [
        Variant(meshes: [MeshShape(sequence: 2), MeshShape(sequence: 4), MeshShape(data: 2, sequence: 2)]),
        Variant(mode: .contiguous),
        Variant(
            mode: .contiguous, resets: false, accumulation: 3, form: .chunkwise(5),
            meshes: [MeshShape(data: 2, sequence: 2)]),
        Variant(mode: .contiguous, recomputes: true, form: .chunkwise(8)),
        Variant(accumulation: 2, recomputes: true, type: .float32),
        Variant(mode: .contiguous, form: .chunkwise(8), type: .float32),
        Variant(
            name: "absolute sums",
            model: model([
                .retention(
                    RetentionConfiguration(
                        headCount: 2, keySize: 8, valueSize: 8, normalization: .decayAbsSum))
            ]),
            mode: .contiguous),
        Variant(
            name: "hybrid of gated linear attention, attention and xPos",
            model: model([
                .gatedLinearAttention(
                    GatedLinearAttentionConfiguration(
                        headCount: 2, keySize: 4, valueSize: 8, gateRank: 4, convolutionWidth: 3)),
                .attention(AttentionConfiguration(headCount: 2, headSize: 8)),
                .retention(
                    RetentionConfiguration(
                        headCount: 2, keySize: 8, valueSize: 8, xPosScaleBase: 20, normalization: .none)),
            ]), recomputes: true),
        Variant(
            name: "delta rule and RWKV",
            model: model([
                .gatedDeltaNet(GatedDeltaNetConfiguration(headCount: 2, keySize: 4, valueSize: 8)),
                .rwkv(RWKVConfiguration(channelCount: 16)),
            ]), mode: .contiguous, form: .chunkwise(8)),
    ]

    @Test(arguments: variants)
    func `The same run with sequences on several ranks learns the same`(variant: Variant) throws {
        let expected = try Self.course(variant, nil, MeshShape())
        let tolerance = variant.type == .float64 ? 1e-8 : 2e-4
        for mesh in variant.meshes {
            let courses = try onRanks(mesh.count) { try Self.course(variant, $0, mesh) }.map { try $0.get() }
            for course in courses {
                for (a, b) in zip(course.losses + course.norms, expected.losses + expected.norms) {
                    #expect(abs(a - b) <= tolerance * abs(b), "\(mesh): \(a) instead of \(b)")
                }
                #expect(course.losses.count == expected.losses.count)
                #expect(course.tokenCounts == expected.tokenCounts)
                let differences = zip(course.weights, expected.weights).map { abs($0 - $1) }
                #expect(differences.reduce(0, max) <= tolerance * 10, "\(mesh)")
                #expect(course.weights == courses[0].weights, "all copies have the same bits")
            }
        }
    }

    @Test func `Models and windows that cannot be divided are refused by name`() throws {
        func refusal(_ variant: Variant) throws -> [String] {
            try onRanks(2) { try Self.course(variant, $0, MeshShape(sequence: 2)) }.compactMap {
                guard case .failure(let error) = $0 else { return nil }
                return "\(error)"
            }
        }
        let sums = Self.model([
            .retention(
                RetentionConfiguration(headCount: 2, keySize: 8, valueSize: 8, normalization: .decaySumAbs))
        ])
        let texts = try refusal(Variant(model: sums))
        #expect(texts.count == 2)
        for text in texts {
            #expect(text.contains("sequence=2") && text.contains("decay_sum_abs"), "\(text)")
        }

        let short = try onRanks(4) { group in
            let source = try ShuffledWindows(stream: Tiny.stream(), rowCount: 2, length: 3, seed: 3)
            var training = TrainingConfiguration()
            training.distribution.mesh = MeshRequest(MeshShape(sequence: 4))
            _ = try Trainer(
                LanguageModelTask(Tiny.build(), source: source), training,
                replicas: Replicas(group, training.distribution))
        }
        for result in short {
            #expect(throws: TrainingError.self) { try result.get() }
            #expect("\(result)".contains("3 tokens"))
        }

        let encoders = try onRanks(2) { group in
            let mixture = try TextToTextMixture(
                tasks: [.init(name: "pairs", examples: TinyT5.pairs(20))], shares: [1], rowCount: 4,
                inputLength: 16, targetLength: 8, isPacked: true, seed: 5)
            var training = TrainingConfiguration()
            training.distribution.mesh = MeshRequest(MeshShape(sequence: 2))
            _ = try Trainer(
                EncoderDecoderTask(try TinyT5.build(type: .float64), source: mixture), training,
                replicas: Replicas(group, training.distribution))
        }
        for result in encoders { #expect(throws: TrainingError.self) { try result.get() } }
    }

    @Test func `A run with carried states goes on with sequences on other numbers of ranks`() throws {
        try withFolder { folder in
            var configuration = try Tiny.configuration(in: folder, steps: 9)
            configuration.task.data.mode = .contiguous
            configuration.task.data.batchSize = 4
            configuration.training.schedule.kind = .constant
            configuration.training.monitoring.evaluationInterval = 0
            func path(_ name: String) -> String { folder.appendingPathComponent(name).path }
            let moving = path("moving")
            let recorder = Recorder()
            _ = try TrainingRun(configuration, folder: path("alone")).run(observers: [recorder])
            var losses: [Int: Double] = [:]
            let meshes = [MeshShape(sequence: 2), MeshShape(data: 2, sequence: 2), MeshShape()]
            for (index, mesh) in meshes.enumerated() {
                configuration.training.duration = .steps(3 * (index + 1))
                configuration.training.distribution.mesh = MeshRequest(mesh)
                let own = configuration
                let parts = try onRanks(mesh.count) { group in
                    let recorder = Recorder()
                    let run = try TrainingRun(
                        own, folder: moving, resume: index > 0,
                        group: mesh.count > 1 ? group : nil)
                    _ = try run.run(observers: [recorder])
                    return recorder.losses
                }.map { try $0.get() }
                losses.merge(parts[0]) { $1 }
            }
            #expect(losses.count == 9)
            for (step, loss) in recorder.losses {
                #expect(abs((losses[step] ?? 0) - loss) < 1e-3 * loss, "step \(step)")
            }
        }
    }
}
