import RetNetDistributed
import RetNetLayers
import RetNetMixers
import RetNetModels
import RetNetTestSupport
import RetNetTorch
import Testing

@testable import RetNetTraining

@Suite struct MeshAccountingTests {
    private func run(_ change: (inout RunConfiguration<LanguageModelTask>) -> Void = { _ in })
        -> RunConfiguration<LanguageModelTask>
    {
        var run = RunConfiguration(
            model: LanguageModelConfiguration(
                vocabularySize: 512, hiddenSize: 64, layerCount: 3,
                mixer: .retention(RetentionConfiguration(headCount: 4, keySize: 16, valueSize: 32)),
                feedForward: FeedForwardConfiguration(innerSize: 128)))
        run.task.data.batchSize = 8
        run.task.data.length = 32
        run.training.precision = .float32
        change(&run)
        return run
    }

    @Test func `Parameters and moments are those that a rank has`() throws {
        for shape in [MeshShape(), MeshShape(data: 2), MeshShape(tensor: 2), MeshShape(data: 2, tensor: 2)] {
            let configuration = run()
            let accounting = try MeshAccounting(configuration, mesh: shape)
            let own = try onRanks(shape.count) { group in
                var distribution = DistributionConfiguration()
                distribution.mesh = MeshRequest(shape)
                let replicas = shape.count > 1 ? try Replicas(group, distribution) : nil
                let store = ParameterStore(source: .random(seed: 1), group: replicas?.mesh.tensor)
                _ = try LanguageModel(configuration.task.model, parameters: store, computeType: .float32)
                let optimizer = try AdamW(store, configuration.training.optimizer)
                return (
                    store.parameterCount, optimizer.state.reduce(0) { $0 + $1.tensor.byteCount }
                )
            }
            for rank in own {
                let (parameters, moments) = try rank.get()
                #expect(accounting.parameterCount == parameters)
                #expect(accounting.memory[.parameters] == 4 * parameters)
                #expect(accounting.memory[.optimizer] == moments)
            }
            #expect(accounting.tokensPerPass == 256 / shape.data)
            #expect(
                accounting.flopsPerStep * Double(shape.count)
                    == (try MeshAccounting(configuration, mesh: MeshShape())).flopsPerStep)
        }
    }

    @Test func `Traffic follows from the mesh and the messages`() throws {
        func sent(
            _ shape: MeshShape, _ change: (inout RunConfiguration<LanguageModelTask>) -> Void = { _ in }
        )
            throws -> [String: MeshAccounting.Traffic]
        {
            let traffic = try MeshAccounting(run(change), mesh: shape).traffic
            return Dictionary(traffic.map { ($0.name, $0) }) { first, _ in first }
        }
        #expect(try sent(MeshShape()).isEmpty)
        let parameters = try MeshAccounting(run(), mesh: MeshShape()).parameterCount
        // A sum in a ring: all but one part, twice.
        let gradients = try #require(try sent(MeshShape(data: 4))["gradients, summed"])
        #expect(abs(gradients.sentByteCount - 2 * 3 * parameters) < 8 && gradients.axes == [.data])
        let narrow = try sent(MeshShape(data: 4)) { $0.training.distribution.reduction = .bfloat16 }
        #expect(abs((narrow["gradients, summed"]?.sentByteCount ?? 0) - 3 * parameters) < 8)
        let sharded = try sent(MeshShape(data: 4)) { $0.training.distribution.shardsOptimizer = true }
        #expect(abs((sharded["updated parameters"]?.sentByteCount ?? 0) - 3 * parameters) < 8)
        // Two half-blocks of three layers, a sum each way, of [256, 64] values.
        let layers = try #require(try sent(MeshShape(tensor: 2))["activations of layers, summed"])
        #expect(layers.count == 12 && layers.messageByteCount == 256 * 64 * 4)
        #expect(layers.sentByteCount == 12 * 256 * 64 * 4)
        let again = try sent(MeshShape(tensor: 2)) { $0.task.recomputesActivations = true }
        #expect(again["activations of layers, summed"]?.count == 18)
        #expect(try sent(MeshShape(tensor: 2))["embeddings, summed"]?.count == 1)
        // Whole passes where accumulation allows it, and then as many messages of whole passes.
        let accumulated = try sent(MeshShape(data: 2, tensor: 2)) { $0.training.accumulationCount = 4 }
        #expect(accumulated["activations of layers, summed"]?.count == 24)
        #expect(throws: TrainingError.self) { try sent(MeshShape(tensor: 3)) }
        #expect(throws: TrainingError.self) { try sent(MeshShape(data: 16)) }
    }

    @Test
    func `Memory falls with parts of layers and with shared moments, and large presets are counted at once`()
        throws
    {
        let preset = RunConfiguration(preset: try Preset.named("retnet-13b"))
        let alone = try MeshAccounting(preset, mesh: MeshShape())
        let parts = try MeshAccounting(preset, mesh: MeshShape(tensor: 4))
        #expect(Double(parts.parameterCount) < 0.26 * Double(alone.parameterCount))
        #expect((parts.memory[.activations] ?? 0) < (alone.memory[.activations] ?? 0) / 2)
        var sharing = preset
        sharing.training.distribution.shardsOptimizer = true
        sharing.task.data.batchSize = 8
        let shared = try MeshAccounting(sharing, mesh: MeshShape(data: 8, tensor: 4))
        #expect((shared.memory[.optimizer] ?? 0) <= (parts.memory[.optimizer] ?? 0) / 8 + 1)
        #expect(shared.byteCount < parts.byteCount)
    }
}
