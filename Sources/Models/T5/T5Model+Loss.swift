import Layers
import Torch

extension T5Model {
    /// The weight of T5X's z-loss, the squared logarithm of the softmax's normaliser.
    public static let standardZLoss = 1e-4

    /// The summed loss of a batch: cross entropy, and `zLoss` times the squared log-normaliser of every target.
    ///
    /// Large batches are scored in slices whose logits are computed again in the backward pass.
    public func lossSum(_ batch: T5Batch, zLoss: Double = 0, context: ForwardContext = .inference) throws
        -> T5Loss
    {
        let x = try hidden(batch, context: context)
        let rows = try x.reshaped([-1, x.size(-1)])
        let labels = try batch.targets.reshaped([-1])
        var sums: [Tensor] = []
        var entropies: [Tensor] = []
        let slices = slices(of: rows.size(0))
        for range in slices {
            let part = try labels.sliced(0, range)
            let segment = { [self] (inputs: [Tensor]) in try self.losses(inputs[0], part, zLoss: zLoss) }
            let inputs = [slices.count > 1 ? try rows.sliced(0, range) : rows]
            let results =
                slices.count > 1 && x.requiresGradient
                ? try recomputing(inputs, outputCount: 2, segment) : try segment(inputs)
            sums.append(results[0])
            entropies.append(try results[1].detached())
        }
        return T5Loss(
            sum: sums.count == 1 ? sums[0] : try Tensor.stacked(sums, axis: 0).sum(),
            crossEntropy: try Tensor.stacked(entropies, axis: 0).sum(), targetCount: batch.targetCount)
    }

    /// Cross entropy and accuracy of a batch without gradients.
    public func score(_ batch: T5Batch) throws -> T5Score {
        try withoutGradients {
            let x = try hidden(batch)
            let rows = try x.reshaped([-1, x.size(-1)])
            let labels = try batch.targets.reshaped([-1])
            var score = T5Score(crossEntropy: 0, correctCount: 0, targetCount: batch.targetCount)
            for range in slices(of: rows.size(0)) {
                let part = try labels.sliced(0, range)
                let logits = try logits(rows.sliced(0, range))
                score.crossEntropy += try FusedOperators.tokenLosses(logits, targets: part).losses.sum()
                    .item()
                let hits = try logits.argmax(axis: -1).isEqual(to: part).to(.int64).sum().item()
                score.correctCount += Int(hits)
            }
            return score
        }
    }

    private func slices(of count: Int) -> [Range<Int>] {
        let size = max(1, logitBudget / configuration.vocabularySize)
        return stride(from: 0, to: count, by: size).map { $0..<min($0 + size, count) }
    }

    /// The sum to differentiate and the cross entropy alone.
    private func losses(_ rows: Tensor, _ labels: Tensor, zLoss: Double) throws -> [Tensor] {
        let (losses, logNormalizers) = try FusedOperators.tokenLosses(logits(rows), targets: labels)
        let entropy = try losses.sum()
        guard zLoss > 0 else { return [entropy, entropy] }
        let counted = try labels.isEqual(to: -100).not().to(logNormalizers.elementType)
        let squares = try (logNormalizers * logNormalizers * counted).sum()
        return [try entropy + squares * zLoss, entropy]
    }
}
