import Foundation
import RetNetCheckpoints
import RetNetDistributed
import RetNetLayers
import RetNetMixers
import RetNetModels
import RetNetStorage
import RetNetTestSupport
import RetNetText
import RetNetTorch
import Testing

@testable import RetNetTraining

/// Ranks with parts of every layer, each a thread, train what one process trains.
@Suite struct TensorParallelTests {
    struct Variant: Sendable, CustomTestStringConvertible {
        var name: String
        var model: LanguageModelConfiguration
        var mesh = MeshShape(tensor: 2)
        var type = ElementType.float64
        var recomputes = false
        var shards = false
        var testDescription: String { "\(name), \(mesh), \(type)" }
    }

    private static func model(
        _ mixer: MixerConfiguration, _ change: (inout LanguageModelConfiguration) -> Void = { _ in }
    ) -> LanguageModelConfiguration {
        var configuration = LanguageModelConfiguration(
            vocabularySize: 256, hiddenSize: 16, layerCount: 2, mixer: mixer,
            feedForward: FeedForwardConfiguration(innerSize: 32))
        change(&configuration)
        return configuration
    }

    private static let retention = RetentionConfiguration(headCount: 4, keySize: 4, valueSize: 8)

    static var variants: [Variant] {
        let attention = AttentionConfiguration(
            headCount: 4, keyValueHeadCount: 2, headSize: 4, biases: true)
        let shared = HeadNormConfiguration(kind: .layer, affine: .shared)
        let perHead = HeadNormConfiguration(kind: .rms, affine: .perHead)
        var hybrid = model(.retention(retention)) { $0.tiedOutput = true }
        hybrid.pattern.append(
            LayerConfiguration(
                mixer: .attention(attention),
                feedForward: FeedForwardConfiguration(kind: .gated, innerSize: 24, biases: true),
                shortConvolution: 3))
        let dropping = model(.retention(retention)) {
            $0.dropout = DropoutConfiguration(embedding: 0.1, residual: 0.1, activation: 0.2)
        }
        let gated = GatedRetentionConfiguration(headCount: 4, keySize: 4, valueSize: 4, headNorm: perHead)
        return [
            Variant(name: "retention", model: model(.retention(retention))),
            Variant(name: "retention", model: model(.retention(retention)), mesh: MeshShape(tensor: 4)),
            Variant(
                name: "retention, one product a layer", model: model(.retention(retention)), type: .float32),
            Variant(
                name: "retention, shared head norm, biases, grouped keys, a vocabulary that is not divided",
                model: model(
                    .retention(
                        RetentionConfiguration(
                            headCount: 4, keyValueHeadCount: 2, keySize: 4, valueSize: 4,
                            normalization: .decayAbsSum, headNorm: shared, biases: true))
                ) {
                    $0.vocabularySize = 257
                    $0.outputBias = true
                }),
            Variant(
                name: "gated retention, the output with biases",
                model: model(.gatedRetention(gated)) { $0.outputBias = true }),
            Variant(
                name: "linear attention, recomputed",
                model: model(.linearAttention(LinearAttentionConfiguration(headCount: 2, headSize: 8))),
                recomputes: true),
            Variant(name: "retention and attention, tied", model: hybrid),
            // Masks are drawn whole on every rank, so even dropout is that of one rank.
            Variant(name: "dropout", model: dropping),
            Variant(
                name: "rows and layers", model: model(.retention(retention)),
                mesh: MeshShape(data: 2, tensor: 2)),
            Variant(
                name: "sequences and layers", model: hybrid, mesh: MeshShape(sequence: 2, tensor: 2)),
            Variant(
                name: "rows and layers, sharded moments", model: hybrid,
                mesh: MeshShape(data: 2, tensor: 2), shards: true),
        ]
    }

    struct Course: Sendable {
        var losses: [Double] = []
        var norms: [Double] = []
        var weights: [String: [Double]] = [:]
        /// The largest distance of a weight from that of one rank, and what of the model is here.
        var distance = 0.0
        var share = 1.0
    }

    private static func course(_ variant: Variant, _ group: ProcessGroup?, expected: Course?) throws -> Course
    {
        var distribution = DistributionConfiguration()
        distribution.mesh = MeshRequest(variant.mesh)
        distribution.shardsOptimizer = variant.shards
        let replicas = try group.map { try Replicas($0, distribution) }
        let store = ParameterStore(
            source: .random(seed: 9), elementType: variant.type, group: replicas?.mesh.tensor)
        let model = try LanguageModel(variant.model, parameters: store, computeType: variant.type)
        model.recomputesActivations = variant.recomputes
        let source = try ShuffledWindows(
            stream: Tiny.stream(byteCount: 700), rowCount: 4, length: 30, seed: 3)
        var training = TrainingConfiguration()
        training.optimizer.learningRate = 1e-2
        // So that every step is clipped by the norm over all parts.
        training.optimizer.clipNorm = 0.3
        training.schedule.warmupStepCount = 2
        training.duration = .steps(4)
        let trainer = try Trainer(
            LanguageModelTask(model, source: source), training, dropoutSeed: 5, replicas: replicas)
        var course = Course()
        try trainer.makeSteps { step in
            course.losses.append(step.loss)
            course.norms.append(step.gradientNorm)
            return true
        }
        for entry in store.entries {
            guard let expected, let all = expected.weights[entry.name] else {
                course.weights[entry.name] = try entry.tensor.to(.float64).doubles()
                continue
            }
            var whole = try Tensor.from(all, entry.part?.wholeShape ?? entry.tensor.shape)
            if let part = entry.part, let tensor = replicas?.mesh.tensor {
                whole = try whole.sliced(part.axis, tensor.part(of: whole.size(part.axis)))
            }
            let distance = try withoutGradients { try (whole - entry.tensor.to(.float64)).abs().max().item() }
            course.distance = max(course.distance, distance)
        }
        course.share = Double(store.parameterCount) / Double(store.wholeParameterCount)
        return course
    }

    @Test(arguments: variants)
    func `Parts of the layers on several ranks learn what whole layers learn on one`(variant: Variant) throws
    {
        let alone = try Self.course(variant, nil, expected: nil)
        let courses = try onRanks(variant.mesh.count) { try Self.course(variant, $0, expected: alone) }
            .map { try $0.get() }
        let isExact = variant.type == .float64
        for course in courses {
            // All ranks take the same decisions.
            #expect(course.losses == courses[0].losses && course.norms == courses[0].norms)
            #expect(course.losses.count == 4)
            for (found, expected) in zip(course.losses + course.norms, alone.losses + alone.norms) {
                #expect(abs(found - expected) <= (isExact ? 1e-9 : 2e-4) * expected)
            }
            // In float32 an update has the sign of a gradient near zero, which rounding decides.
            #expect(course.distance < (isExact ? 1e-8 : 2e-2), "\(course.distance)")
            // Half of everything but norms, biases of sums and, where it is not divided, the vocabulary.
            let least = 1 / Double(variant.mesh.tensor)
            #expect(
                course.share >= least
                    && course.share < (variant.model.vocabularySize == 257 ? 0.9 : least + 0.05))
        }
    }

    @Test func `Losses and logits of a part of the vocabulary are those of all of it`() throws {
        let generator = try Generator(seed: 4)
        let logits = try generator.normal([5, 12], .float64) * 30
        let targets = try Tensor.from([Int64(0), 11, -100, 5, 6])
        let expected = try logits.crossEntropy(targets, reduction: .none).doubles()
        let weights = try Tensor.from([1.0, 2, 3, 4, 5])
        let leaf = try logits.clone().requiringGradient()
        try (leaf.crossEntropy(targets, reduction: .none) * weights).sum().backward()
        let gradient = try #require(try leaf.gradient()).doubles()
        let values = try logits.doubles()
        for count in [2, 3] {
            let results = try onRanks(count) { group in
                let whole = try Tensor.from(values, [5, 12])
                let targets = try Tensor.from([Int64(0), 11, -100, 5, 6])
                let own = try whole.sliced(1, group.part(of: 12)).contiguous().clone().requiringGradient()
                let losses = try group.tokenLosses(own, targets: targets)
                try (losses * Tensor.from([1.0, 2, 3, 4, 5])).sum().backward()
                let joined = try group.joining(own)
                #expect(try joined.detached().doubles() == values)
                return (try losses.detached().doubles(), try own.gradient()?.contiguous().doubles() ?? [])
            }
            for (rank, result) in results.enumerated() {
                let (losses, own) = try result.get()
                for (a, b) in zip(losses, expected) { #expect(abs(a - b) < 1e-12 * max(1, abs(b))) }
                let part = rank * 12 / count..<(rank + 1) * 12 / count
                let wanted = (0..<5).flatMap { row in part.map { gradient[row * 12 + $0] } }
                #expect(own.count == wanted.count && zip(own, wanted).allSatisfy { abs($0 - $1) < 1e-12 })
            }
        }
    }

    // MARK: Runs in a folder

    private func train(
        _ configuration: RunConfiguration<LanguageModelTask>, in path: String, _ mesh: MeshShape,
        steps: Int, resume: Bool = false
    ) throws -> Recorder {
        var configuration = configuration
        configuration.training.distribution.mesh = MeshRequest(mesh)
        configuration.training.duration = .steps(steps)
        if mesh.count == 1 {
            let recorder = Recorder()
            _ = try TrainingRun(configuration, folder: path, resume: resume).run(observers: [recorder])
            return recorder
        }
        let own = configuration
        struct Figures: Sendable {
            var losses: [Int: Double]
            var validations: [Int: Double]
            var samples: [String]
        }
        let all = try onRanks(mesh.count) { group in
            let run = try TrainingRun(own, folder: path, resume: resume, group: group)
            let recorder = Recorder()
            _ = try run.run(observers: [recorder])
            return Figures(
                losses: recorder.losses, validations: recorder.validations, samples: recorder.samples)
        }.map { try $0.get() }
        for figures in all {
            #expect(figures.losses == all[0].losses && figures.validations == all[0].validations)
            #expect(figures.samples == all[0].samples)
        }
        let result = Recorder()
        (result.losses, result.validations, result.samples) =
            (all[0].losses, all[0].validations, all[0].samples)
        return result
    }

    private func tensors(_ path: String) throws -> [String: [Double]] {
        let file = try SafetensorsTensors(file: path)
        return try Dictionary(
            uniqueKeysWithValues: file.entries.map {
                ($0.name, try file.tensor(named: $0.name, on: .cpu).to(.float64).doubles())
            })
    }

    @Test func `Checkpoints are whole and go on on any mesh`() throws {
        try withFolder { folder in
            var configuration = try Tiny.configuration(in: folder, steps: 6)
            configuration.task.model = Self.model(.retention(Self.retention))
            configuration.task.data.batchSize = 4
            configuration.training.schedule.kind = .constant
            configuration.training.monitoring.evaluationInterval = 3
            configuration.training.monitoring.sampleInterval = 3
            configuration.training.monitoring.sampleTokenCount = 8
            func path(_ name: String) -> String { folder.appendingPathComponent(name).path }
            let alone = try train(configuration, in: path("alone"), MeshShape(), steps: 9)
            let pair = MeshShape(tensor: 2)
            let whole = try train(configuration, in: path("pair"), pair, steps: 9)
            func expectClose(_ found: [Int: Double], _ expected: [Int: Double]) {
                #expect(!found.isEmpty)
                for (step, value) in found {
                    #expect(abs(value - (expected[step] ?? 0)) < 1e-3 * value, "step \(step)")
                }
            }
            expectClose(whole.losses, alone.losses)
            expectClose(whole.validations, alone.validations)
            #expect(whole.samples.count == alone.samples.count)
            for name in ["model", "optimizer"] {
                let file = "/checkpoints/step-00000003/\(name).safetensors"
                let (own, expected) = (try tensors(path("pair") + file), try tensors(path("alone") + file))
                #expect(own.keys.sorted() == expected.keys.sorted())
                for (key, values) in own {
                    #expect(values.count == expected[key]?.count, "\(key)")
                    let distances = zip(values, expected[key] ?? []).map { abs($0 - $1) }
                    #expect((distances.max() ?? 1) < 1e-3, "\(key)")
                }
            }
            // Bit for bit on the same mesh, to rounding on others; from the same checkpoint each.
            for (name, mesh) in [
                ("same", pair), ("one", MeshShape()), ("rows", MeshShape(data: 2)),
                ("both", MeshShape(data: 2, tensor: 2)),
            ] {
                _ = try train(configuration, in: path(name), pair, steps: 3)
                let rest = try train(configuration, in: path(name), mesh, steps: 9, resume: true)
                #expect(rest.losses.keys.sorted() == Array(4...9))
                if mesh == pair {
                    for (step, loss) in rest.losses { #expect(loss == whole.losses[step]) }
                } else {
                    expectClose(rest.losses, alone.losses)
                }
            }
        }
    }

    struct Refusal: Sendable, CustomTestStringConvertible {
        var text: String
        var tensor: Int
        var model: LanguageModelConfiguration
        var testDescription: String { text }
    }

    static var refusals: [Refusal] {
        let grouped = AttentionConfiguration(headCount: 4, keyValueHeadCount: 2, headSize: 4)
        let mamba = Mamba2Configuration(headCount: 2, headSize: 16, stateSize: 8)
        func changed(_ change: (inout FeedForwardConfiguration) -> Void) -> LanguageModelConfiguration {
            model(.retention(retention)) { change(&$0.feedForward) }
        }
        return [
            Refusal(text: "'head_count' 4", tensor: 3, model: model(.retention(retention))),
            Refusal(text: "'key_value_head_count' 2", tensor: 4, model: model(.attention(grouped))),
            Refusal(text: "'inner_size' 30", tensor: 4, model: changed { $0.innerSize = 30 }),
            Refusal(text: "'sub_norm'", tensor: 2, model: changed { $0.subNorm = true }),
            Refusal(
                text: "the experts", tensor: 2,
                model: changed { $0.experts = ExpertsConfiguration(count: 2) }),
            Refusal(text: "mixer 'mamba2'", tensor: 2, model: model(.mamba2(mamba))),
        ]
    }

    /// Ranks that never meet.
    private final class Plan: RankGroup {
        let rank = 0
        let count: Int
        init(_ count: Int) { self.count = count }
        func allReduce(_: Tensor, _: RankReduction) {}
        func allGather(_: Tensor, into: Tensor) {}
        func reduceScatter(_: Tensor, into: Tensor, _: RankReduction) {}
        func send(_: Tensor, to: Int, tag: Int) {}
        func receive(_: Tensor, from: Int, tag: Int) {}
    }

    @Test(arguments: refusals)
    func `Layers that ranks cannot divide are refused by name before any work`(refusal: Refusal) throws {
        try withFolder { folder in
            var configuration = try Tiny.configuration(in: folder, steps: 1)
            configuration.task.model = refusal.model
            configuration.training.distribution.mesh = MeshRequest(MeshShape(tensor: refusal.tensor))
            try expectRefusal(configuration, refusal.text)
            #expect(throws: MixerError.self) {
                let store = ParameterStore(source: .shapes, group: Plan(refusal.tensor))
                _ = try LanguageModel(refusal.model, parameters: store, computeType: .float32)
            }
        }
    }

    private func expectRefusal(_ configuration: RunConfiguration<some TrainingTask>, _ text: String) throws {
        let error = #expect(throws: TrainingError.self) { try configuration.resolved() }
        guard case .unsuitableMesh? = error else {
            Issue.record("\(String(describing: error))")
            return
        }
        #expect(error?.description.contains(text) ?? false, "\(String(describing: error))")
    }

    @Test func `Optimizers, carried states and models that need the whole are refused by name`() throws {
        try withFolder { folder in
            var configuration = try Tiny.configuration(in: folder, steps: 1)
            configuration.training.distribution.mesh = MeshRequest(MeshShape(tensor: 2))
            _ = try configuration.resolved()
            for kind in [OptimizerConfiguration.Kind.muon, .adafactor] {
                var other = configuration
                other.training.optimizer = OptimizerConfiguration(kind)
                try expectRefusal(other, "optimizer '\(kind.rawValue)'")
            }
            var carrying = configuration
            carrying.task.data.mode = .contiguous
            try expectRefusal(carrying, "data.mode 'contiguous'")
            var pairs = RunConfiguration<EncoderDecoderTask>(task: .standard)
            pairs.training.distribution.mesh = MeshRequest(MeshShape(tensor: 2))
            try expectRefusal(pairs, "encoder-decoder")
            // One process is no mesh of two ranks, and nothing is left behind.
            let path = folder.appendingPathComponent("run").path
            #expect(throws: MeshError.self) { try TrainingRun(configuration, folder: path) }
            #expect(!FileManager.default.fileExists(atPath: path))
        }
    }
}
