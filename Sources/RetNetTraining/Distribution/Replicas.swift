import Foundation
import RetNetDistributed
import RetNetEvaluation
import RetNetLayers
import RetNetTorch

/// The ranks that train one model together, each on its share of every step.
///
/// Gradients and figures are summed over the ranks with copies of the same parameters, so that every rank takes the same
/// decisions and makes the same update. Gradients travel during the last backward pass of a step.
public final class Replicas {
    /// The ranks and their groups.
    public let mesh: Mesh
    /// The rows of every step that this rank computes, alone or with the others of its sequence and tensor groups.
    public let share: BatchShare
    /// True if any rank was asked to stop before the last step ended; the same on all ranks.
    public private(set) var stopIsRequested = false
    /// Seconds of the last step in which this rank waited for gradients of others.
    public var waitedSeconds: Double { buckets?.waitedSeconds ?? 0 }
    /// True if this rank was asked to stop.
    var wantsStop: () -> Bool = { false }

    private let configuration: DistributionConfiguration
    private var buckets: GradientBuckets?
    /// The parameters that the ranks train, once they have joined.
    private(set) var parameters: ParameterStore?
    /// What other ranks have of parameters and optimizer, between gathering and saving it.
    var gatheredState: GatheredState?

    /// The ranks of a run; all of them call it.
    ///
    /// Throws `MeshError` for a mesh of another number of ranks, and `DistributedError`.
    public init(_ group: ProcessGroup, _ configuration: DistributionConfiguration = .init()) throws {
        mesh = try Mesh(group, configuration.mesh)
        self.configuration = configuration
        share = BatchShare(rank: mesh.place.data, count: mesh.shape.data)
    }

    /// True on the rank that prints, measures and saves.
    public var isFirst: Bool { mesh.world.rank == 0 }

    /// Takes the parameters of a model whose gradients are to be summed, with the values of rank 0.
    ///
    /// Throws ``TrainingError`` where the ranks cannot share its steps.
    func join(_ task: some TrainingTask, passCount: Int) throws {
        guard task.parameters.device == .cpu else { throw TrainingError.ranksNeedProcessors }
        if mesh.shape.sequence > 1,
            let reason = task.reasonAgainstDividingSequences(over: mesh.shape.sequence)
        {
            throw TrainingError.unsuitableMesh(mesh: mesh.shape.description, reason: reason)
        }
        try share.check(
            passCount: passCount, rowCount: task.dataState.rowCount, keepsRows: task.carriesState)
        parameters = task.parameters
        try withoutGradients {
            for entry in task.parameters.entries {
                try (entry.part == nil ? mesh.world : mesh.replicas)?.broadcast(entry.tensor)
            }
        }
        guard let group = mesh.replicas else { return }
        var byteCount = configuration.bucketMegabytes << 20
        if shardsOptimizer {
            // Buckets are what ranks own, so there must be some for each.
            let total = task.parameters.tensors.reduce(0) { $0 + $1.byteCount }
            byteCount = min(byteCount, max(1024, total / (4 * group.count)))
        }
        buckets = try group.buckets(
            task.parameters.tensors, byteCount: byteCount,
            narrows: configuration.reduction == .bfloat16)
    }

    /// True if every rank keeps only its part of the optimizer's state.
    var shardsOptimizer: Bool { configuration.shardsOptimizer && mesh.replicas != nil }

    /// Returns the parameters that this rank's optimizer updates: all, or its share of them.
    func updatedEntries() -> [ParameterStore.Entry] {
        guard let parameters, let buckets, shardsOptimizer else { return parameters?.entries ?? [] }
        return zip(parameters.entries, buckets.owners).filter { $0.1 == mesh.replicas?.rank }.map(\.0)
    }

    /// True if the optimizer of a rank knows some of the gradients only.
    var dividesGradients: Bool { shardsOptimizer || mesh.tensor != nil }

    /// Returns the norm of the gradients of all parameters, those of all ranks.
    func gradientNorm() throws -> Double {
        func norm(_ entries: [ParameterStore.Entry]) throws -> Double {
            try OptimizerKernels.globalNorm(entries.compactMap { try $0.tensor.gradient() })
        }
        let entries = parameters?.entries ?? []
        guard let tensor = mesh.tensor else { return try norm(entries) }
        let own = try norm(entries.filter { $0.part != nil })
        let common = try norm(entries.filter { $0.part == nil })
        return try (tensor.allReduced([own * own])[0] + common * common).squareRoot()
    }

    /// Sends the parameters that each rank has updated to the others.
    func shareUpdates() throws {
        if shardsOptimizer { try buckets?.shareParameters() }
    }

    /// The number of this rank among those that compute other tokens, and how many there are.
    ///
    /// Ranks of one tensor group compute the same tokens, with the same dropout.
    var stream: (index: Int, count: Int) {
        (mesh.place.data * mesh.shape.sequence + mesh.place.sequence, mesh.shape.data * mesh.shape.sequence)
    }

    /// Returns the seed of this rank's dropout.
    func dropoutSeed(_ seed: UInt64) -> UInt64 { seed &+ UInt64(stream.index) &* 0x9e37_79b9_7f4a_7c15 }

    /// Returns what ranks with other tokens have, in the order of their ``stream``, on all ranks.
    func gathered(_ value: Data, _ operation: String) throws -> [Data] {
        let all = try mesh.world.gathered(value, operation)
        return all.indices.filter { mesh.shape.place(of: $0).tensor == 0 }.map { all[$0] }
    }

    /// Returns the passes of a step as this rank makes them.
    func passes(_ passes: StepPasses) -> StepPasses {
        var result = passes
        result.share = share
        result.sequence = mesh.sequence
        result.beforeLastBackward = { [buckets] in buckets?.begin() }
        return result
    }

    /// Waits for the sums of gradients and returns the loss of the whole step from that of this rank's share.
    func combine(_ loss: StepLoss) throws -> StepLoss {
        var result = loss
        var stops = wantsStop() ? 1.0 : 0
        if let buckets, let group = mesh.replicas {
            let knowledge = try buckets.finish()
            let names = loss.auxiliary.keys.sorted()
            // One message: figures, then what ranks know of the gradient of each parameter.
            let figures = [loss.mean, loss.accuracy ?? 0, stops] + names.map { loss.auxiliary[$0] ?? 0 }
            let sums = try group.allReduced(figures + knowledge)
            try buckets.fill(Array(sums.dropFirst(figures.count)))
            stops = sums[2]
            result.mean = sums[0]
            result.accuracy = loss.accuracy.map { _ in sums[1] }
            for (index, name) in names.enumerated() { result.auxiliary[name] = sums[3 + index] }
        }
        if let tensor = mesh.tensor { stops = try tensor.allReduced([stops])[0] }
        stopIsRequested = stops > 0
        return result
    }

    /// Runs a body on rank 0 while the others wait, and returns its result on all ranks; without replicas, just runs it.
    static func once<Value: Codable>(
        _ replicas: Replicas?, _ operation: String, _ body: () throws -> Value
    ) throws -> Value {
        guard let replicas else { return try body() }
        return try replicas.onFirst(operation, body)
    }

    /// Runs a body that makes passes of the model, on all ranks that have parts of its first copy, and returns the result of
    /// rank 0 on all ranks; without replicas, just runs it.
    static func onFirstCopy<Value: Codable>(
        _ replicas: Replicas?, _ operation: String, _ body: () throws -> Value
    ) throws -> Value {
        guard let replicas else { return try body() }
        if !replicas.isFirst, replicas.mesh.holdsFirstCopy { _ = try body() }
        return try replicas.onFirst(operation, body)
    }

    private func onFirst<Value: Codable>(_ operation: String, _ body: () throws -> Value) throws -> Value {
        var own: Value?
        let data = try mesh.world.onRankZero(operation) {
            let value = try body()
            own = value
            let encoder = JSONEncoder()
            encoder.nonConformingFloatEncodingStrategy = .convertToString(
                positiveInfinity: "inf", negativeInfinity: "-inf", nan: "nan")
            return try encoder.encode([value])
        }
        if let own { return own }
        let decoder = JSONDecoder()
        decoder.nonConformingFloatDecodingStrategy = .convertFromString(
            positiveInfinity: "inf", negativeInfinity: "-inf", nan: "nan")
        guard let value = try decoder.decode([Value].self, from: data).first else {
            throw DistributedError.failed(operation: operation, reason: "rank 0 sent nothing")
        }
        return value
    }
}

/// Ranks share evaluations as well as training.
extension ProcessGroup: MeasuringRanks {}
