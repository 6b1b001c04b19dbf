import RetNetArchitecture
import RetNetDistributed
import RetNetLayers
import RetNetMixers
import RetNetModels
import RetNetTorch

/// What one rank of a mesh holds in memory and sends to others in a step, computed from a run's configuration alone.
///
/// Parameters are those that the model declares for the rank. Activations are an estimate for blocks of a mixer with heads and
/// a feed-forward: what products and norms keep for the backward pass. Traffic is that of algorithms that send least, rings.
public struct MeshAccounting: Sendable, Equatable {
    /// One kind of memory.
    public enum Memory: String, Sendable, CaseIterable {
        /// float32 parameters.
        case parameters
        /// Matrices in the type of passes, where that is bfloat16.
        case copies = "bfloat16_matrices"
        /// float32 gradients, which lie in the buckets that are sent.
        case gradients
        /// Buckets in the type in which they are sent, where that is bfloat16.
        case wire
        /// State of the optimizer.
        case optimizer
        /// What blocks keep of a pass for the backward pass.
        case activations
        /// Logits and their gradients, of the rows that are scored at once.
        case logits
    }

    /// Messages of one kind.
    public struct Traffic: Sendable, Equatable {
        /// What is sent.
        public var name: String
        /// The axes along which ranks exchange it.
        public var axes: [MeshShape.Axis]
        /// Messages in a step.
        public var count: Int
        /// Bytes of one of them on a rank.
        public var messageByteCount: Int
        /// Bytes that a rank sends in a step.
        public var sentByteCount: Int
    }

    /// The mesh.
    public let shape: MeshShape
    /// Parameters of which a rank has the values.
    public let parameterCount: Int
    /// Passes of a rank in a step.
    public let passCount: Int
    /// Tokens of a pass on a rank.
    public let tokensPerPass: Int
    /// Tokens of a step on all ranks.
    public let tokensPerStep: Int
    /// FLOPs of a rank in a step, forward and backward; a multiply-add is two.
    public let flopsPerStep: Double
    /// Bytes by kind.
    public let memory: [Memory: Int]
    /// Messages by kind, those that there are.
    public let traffic: [Traffic]

    /// Bytes of all kinds.
    public var byteCount: Int { memory.values.reduce(0, +) }
    /// Bytes that a rank sends in a step.
    public var sentByteCount: Int { traffic.reduce(0) { $0 + $1.sentByteCount } }

    /// Computes the figures of a run on a mesh.
    ///
    /// Throws ``TrainingError`` where ranks cannot share the run so, and as `LanguageModel` does for the model.
    public init(_ run: RunConfiguration<LanguageModelTask>, mesh shape: MeshShape) throws {
        var run = run
        run.training.distribution.mesh = MeshRequest(shape)
        try run.checkMesh()
        let (model, data, training) = (run.task.model, run.task.data, run.training)
        let share = BatchShare(rank: 0, count: shape.data)
        try share.check(
            passCount: training.accumulationCount, rowCount: data.batchSize,
            keepsRows: data.mode == .contiguous)
        let dividesPasses =
            data.mode != .contiguous && training.accumulationCount % shape.data == 0
        let passCount = dividesPasses ? training.accumulationCount / shape.data : training.accumulationCount
        let rowCount = dividesPasses ? data.batchSize : share.rows(of: data.batchSize).count
        let tokens = rowCount * ((data.length + shape.sequence - 1) / shape.sequence)
        let store = ParameterStore(
            source: .shapes, group: shape.tensor > 1 ? PlannedRank(count: shape.tensor) : nil)
        _ = try LanguageModel(model, parameters: store, computeType: .float32)
        let type = training.precision.elementType(on: .cpu)
        self.shape = shape
        self.passCount = passCount
        tokensPerPass = tokens
        tokensPerStep = data.batchSize * data.length * training.accumulationCount
        parameterCount = store.parameterCount
        let flops = try ModelAccounting(model).trainingFLOPsPerToken
        flopsPerStep = Double(flops) * Double(tokensPerStep) / Double(shape.count)
        let replicaCount = shape.data * shape.sequence
        memory = Self.memory(run, store, tokens: tokens, type, replicaCount: replicaCount, shape)
        traffic = Self.traffic(
            run, store, rowCount: rowCount, tokens: tokens, passCount: passCount, type,
            replicaCount: replicaCount, shape)
    }

    // MARK: Memory

    private static func memory(
        _ run: RunConfiguration<LanguageModelTask>, _ store: ParameterStore, tokens: Int, _ type: ElementType,
        replicaCount: Int, _ shape: MeshShape
    ) -> [Memory: Int] {
        let (model, training) = (run.task.model, run.training)
        let count = store.parameterCount
        let matrices = store.entries.filter { $0.tensor.rank > 1 }.reduce(0) { $0 + $1.tensor.elementCount }
        let sends = replicaCount > 1
        var state = store.entries.reduce(0) { $0 + stateByteCount($1, training.optimizer) }
        if training.distribution.shardsOptimizer { state = (state + replicaCount - 1) / replicaCount }
        let blocks = (0..<model.layerCount).map { blockElements(model, layer: $0, tensor: shape.tensor) }
        let stream = model.hiddenSize * max(1, model.embeddingWidth / model.hiddenSize)
        let kept =
            run.task.recomputesActivations
            ? 2 * stream * model.layerCount + (blocks.max() ?? 0) : blocks.reduce(0, +)
        let divides = shape.tensor > 1 && model.dividesVocabulary(between: shape.tensor)
        let vocabulary = divides ? model.vocabularySize / shape.tensor : model.vocabularySize
        // Of a whole vocabulary an operator forms slices; of a divided one larger slices are computed again.
        let budget = divides ? LanguageModel.logitBudget : 1 << 22
        let rows = min(tokens, max(1, budget / vocabulary))
        // Logits and gradient; of a divided vocabulary their exponentials and the gradients of those too, in float32.
        let logits = rows * vocabulary * (divides ? 2 * type.byteCount + 12 : 2 * type.byteCount)
        return [
            .parameters: 4 * count, .copies: type == .bfloat16 ? 2 * matrices : 0, .gradients: 4 * count,
            .wire: sends && training.distribution.reduction == .bfloat16 ? 2 * count : 0, .optimizer: state,
            .activations: (kept + 2 * stream) * tokens * type.byteCount, .logits: logits,
        ]
    }

    /// Bytes that an optimizer keeps for a parameter.
    private static func stateByteCount(
        _ entry: ParameterStore.Entry, _ optimizer: OptimizerConfiguration
    ) -> Int {
        let shape = entry.tensor.shape
        switch optimizer.kind {
        case .adamW: return 8 * entry.tensor.elementCount
        case .muon: return (entry.isHiddenMap ? 4 : 8) * entry.tensor.elementCount
        case .adafactor:
            let isFactored = shape.count == 2 && shape.allSatisfy { $0 >= optimizer.adafactor.factoredSize }
            return 4 * (isFactored ? shape.reduce(0, +) : entry.tensor.elementCount)
        }
    }

    /// Values per token that a block keeps: inputs and outputs of its norms, the outputs of the matrices that read, heads before
    /// and behind their norm, and the columns of the feed-forward before and behind the activation.
    private static func blockElements(_ model: LanguageModelConfiguration, layer: Int, tensor: Int) -> Int {
        let kind = model.layer(layer)
        let streams = max(1, model.embeddingWidth / model.hiddenSize)
        var common = 2 * model.hiddenSize * streams
        var divided = 0
        let shapes = (try? kind.mixer.builder.parameterShapes(hiddenSize: model.hiddenSize)) ?? []
        for (name, shape) in shapes where shape.count == 2 {
            divided += name.hasPrefix("output.") ? 2 * shape[1] : shape[0]
        }
        if kind.feedForward.kind != .none {
            common += 2 * model.hiddenSize
            let columns = kind.feedForward.innerSize * (kind.feedForward.kind == .gated ? 3 : 2)
            divided += columns * (kind.feedForward.experts?.choices ?? 1)
        }
        return (common + divided / tensor) / model.sequenceStride(layer: layer)
    }

    // MARK: Traffic

    private static func traffic(
        _ run: RunConfiguration<LanguageModelTask>, _ store: ParameterStore, rowCount: Int, tokens: Int,
        passCount: Int, _ type: ElementType, replicaCount: Int, _ shape: MeshShape
    ) -> [Traffic] {
        let (model, distribution) = (run.task.model, run.training.distribution)
        var result: [Traffic] = []
        /// A ring sends every byte but those of one part, once for a gather and twice for a sum.
        func add(
            _ name: String, _ axes: [MeshShape.Axis], _ count: Int, of byteCount: Int, times: Int = 1,
            ranks: Int
        ) {
            guard ranks > 1, count > 0, byteCount > 0 else { return }
            let sent = Double(times) * Double(ranks - 1) / Double(ranks) * Double(byteCount) * Double(count)
            result.append(
                Traffic(
                    name: name, axes: axes, count: count, messageByteCount: byteCount,
                    sentByteCount: Int(min(sent, 1e18))))
        }
        let gradients = store.parameterCount * (distribution.reduction == .bfloat16 ? 2 : 4)
        let buckets = max(1, (4 * store.parameterCount) / (distribution.bucketMegabytes << 20))
        let replicas: [MeshShape.Axis] = [.data, .sequence].filter { shape[$0] > 1 }
        add("gradients, summed", replicas, buckets, of: gradients / buckets, times: 2, ranks: replicaCount)
        if distribution.shardsOptimizer {
            add(
                "updated parameters", replicas, buckets, of: 4 * store.parameterCount / buckets,
                ranks: replicaCount)
        }
        // Two sums of a half-block, one each way, and the first again where it is computed again.
        let halves = (0..<model.layerCount).reduce(0) {
            $0 + (model.layer($1).feedForward.kind == .none ? 1 : 2)
        }
        let sums = halves * (run.task.recomputesActivations ? 3 : 2)
        add(
            "activations of layers, summed", [.tensor], sums * passCount,
            of: tokens * model.hiddenSize * type.byteCount, times: 2, ranks: shape.tensor)
        if model.dividesVocabulary(between: shape.tensor) {
            add(
                "embeddings, summed", [.tensor], passCount,
                of: tokens * model.embeddingWidth * type.byteCount, times: 2, ranks: shape.tensor)
            add(
                "gradients of the output, summed", [.tensor], passCount,
                of: tokens * model.outputWidth * type.byteCount, times: 2, ranks: shape.tensor)
        }
        // End states, and their gradients.
        let states = (0..<model.layerCount).map { layer in
            model.layer(layer).mixer.architecture.stateTensors.reduce(0) {
                $0 + $1.shape.reduce(1, *)
            }
        }
        add(
            "states of sequences", [.sequence], 2 * model.layerCount * passCount,
            of: 4 * rowCount * shape.sequence * (states.max() ?? 0) / shape.tensor, ranks: shape.sequence)
        return result
    }
}

/// A rank of a group that is only planned: it has a place and exchanges nothing.
private final class PlannedRank: RankGroup {
    let rank = 0
    let count: Int

    init(count: Int) { self.count = count }

    func allReduce(_ tensor: Tensor, _ reduction: RankReduction) throws { throw refusal }
    func allGather(_ input: Tensor, into output: Tensor) throws { throw refusal }
    func reduceScatter(_ input: Tensor, into output: Tensor, _ reduction: RankReduction) throws {
        throw refusal
    }
    func send(_ tensor: Tensor, to rank: Int, tag: Int) throws { throw refusal }
    func receive(_ tensor: Tensor, from rank: Int, tag: Int) throws { throw refusal }

    private var refusal: TorchError {
        TorchError(kind: .value, message: "a rank that is only planned exchanges nothing")
    }
}
