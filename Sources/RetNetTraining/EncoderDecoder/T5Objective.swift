import RetNetLayers
import RetNetModels
import RetNetText
import RetNetTorch

/// Learns to write targets for sources with a T5.
///
/// The loss is the mean over all counted targets of a step of cross entropy and, as in T5X, `zLoss` times the squared
/// log-normaliser. Adafactor does not mind the mean, which T5X leaves out. Losses that experts add are means over the
/// tokens of a pass and count by its targets.
public final class T5Objective: TrainingObjective {
    /// The model in training.
    public let model: T5Model
    /// The weight of the z-loss; 0 leaves it out.
    public let zLoss: Double
    private var source: any TextToTextSource

    /// Learns from pairs of token rows.
    public init(_ model: T5Model, source: any TextToTextSource, zLoss: Double = T5Model.standardZLoss) {
        self.model = model
        self.source = source
        self.zLoss = zLoss
    }

    /// The parameters of the model.
    public var parameters: ParameterStore { model.parameters }
    /// The place in the data.
    public var dataState: BatchSourceState { source.state }

    /// Runs the next batches forward and backward.
    public func accumulateGradients(passCount: Int, generator: Generator) throws -> StepLoss {
        let batches = try (0..<passCount).map { _ in try source.next() }
        let targetCount = batches.reduce(0) { $0 + $1.targetCount }
        let scale = 1 / Double(max(1, targetCount))
        var totals: [Tensor] = []
        var auxiliary: [String: Double] = [:]
        for batch in batches {
            let losses = AuxiliaryLosses()
            let context = ForwardContext(isTraining: true, generator: generator, auxiliaryLosses: losses)
            let loss = try model.lossSum(
                T5Batch(batch, configuration: model.configuration, device: model.device), zLoss: zLoss,
                countsCorrect: true, context: context)
            let share = Double(batch.targetCount) * scale
            let objective = try losses.total().map { try loss.sum * scale + $0 * share } ?? loss.sum * scale
            try objective.backward()
            for (name, value) in try losses.summary() { auxiliary[name, default: 0] += value * share }
            let parts = [loss.crossEntropy, try loss.sum.detached()] + (loss.correctCount.map { [$0] } ?? [])
            totals.append(try Tensor.stacked(parts, axis: 0))
        }
        // Read once a step: every number that is read waits for the device.
        let sums = try Tensor.stacked(totals, axis: 0).sum([0]).doubles()
        if zLoss > 0 { auxiliary["z_loss"] = (sums[1] - sums[0]) * scale }
        return StepLoss(
            mean: sums[0] * scale, targetCount: targetCount,
            accuracy: sums.count > 2 ? sums[2] * scale : nil, auxiliary: auxiliary)
    }

    /// Goes to a saved place in the data; throws `TextError.stateMismatch`.
    public func restoreData(_ state: BatchSourceState) throws { try source.restore(state) }
}

extension T5Batch {
    /// The tensors of a batch of token rows; throws `T5Error` and `TorchError`.
    public init(_ batch: TextToTextBatch, configuration: T5Configuration, device: Device = .cpu) throws {
        try self.init(
            sources: batch.sources, sourceSegments: batch.sourceSegments, targets: batch.targets,
            targetSegments: batch.targetSegments, configuration: configuration, device: device,
            sourceAlignment: configuration.altUp?.sequence?.stride ?? 1)
    }
}
