import RetNetLayers
import RetNetTorch

extension T5Model {
    /// Coefficient of T5X's z-loss, the squared logarithm of the softmax's normalizer.
    public static let standardZLoss = 1e-4

    /// Returns the summed loss of a batch: cross entropy, and `zLoss` times the squared log-normalizer of every target.
    ///
    /// Large batches are scored in slices: by one operator with the output matrix where there is a kernel, elsewhere with
    /// logits that are computed again in the backward pass. `countsCorrect` adds the number of targets that had the largest
    /// logit.
    public func lossSum(
        _ batch: T5Batch, zLoss: Double = 0, countsCorrect: Bool = false,
        context: ForwardContext = .inference
    ) throws -> T5Loss {
        let x = try hidden(batch, context: context)
        let rows = try x.reshaped([-1, x.size(-1)])
        let labels = try batch.targets.reshaped([-1])
        if FusedOperators.runsOutputLoss(rows, vocabularySize: configuration.vocabularySize) {
            let result = try FusedOperators.outputLoss(
                rows, weight: outputParameter, targets: labels, zLoss: zLoss, countsCorrect: countsCorrect)
            return T5Loss(
                sum: result.loss, crossEntropy: result.entropy, correctCount: result.correct,
                targetCount: batch.targetCount)
        }
        var sums: [Tensor] = []
        var notes: [[Tensor]] = []
        let slices = slices(of: rows.size(0))
        for range in slices {
            let part = try labels.sliced(0, range)
            let segment = { [self] (inputs: [Tensor]) in
                try self.losses(inputs[0], part, zLoss: zLoss, countsCorrect: countsCorrect)
            }
            let inputs = [slices.count > 1 ? try rows.sliced(0, range) : rows]
            let results =
                slices.count > 1 && x.requiresGradient
                ? try recomputing(inputs, outputCount: countsCorrect ? 3 : 2, segment) : try segment(inputs)
            sums.append(results[0])
            notes.append(try results.dropFirst().map { try $0.detached() })
        }
        func total(_ index: Int) throws -> Tensor {
            try Tensor.stacked(notes.map { $0[index] }, axis: 0).sum()
        }
        return T5Loss(
            sum: sums.count == 1 ? sums[0] : try Tensor.stacked(sums, axis: 0).sum(),
            crossEntropy: try total(0), correctCount: countsCorrect ? try total(1) : nil,
            targetCount: batch.targetCount)
    }

    /// Returns cross entropy and accuracy of a batch, computed without gradients.
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

    /// Returns the sum to differentiate, the cross entropy alone and, with `countsCorrect`, the correct targets.
    private func losses(_ rows: Tensor, _ labels: Tensor, zLoss: Double, countsCorrect: Bool) throws
        -> [Tensor]
    {
        let logits = try logits(rows)
        let (losses, logNormalizers) = try FusedOperators.tokenLosses(logits, targets: labels)
        let entropy = try losses.sum()
        let correct =
            countsCorrect
            ? [try logits.detached().argmax(axis: -1).isEqual(to: labels).to(entropy.elementType).sum()] : []
        guard zLoss > 0 else { return [entropy, entropy] + correct }
        let counted = try labels.isEqual(to: -100).not().to(logNormalizers.elementType)
        let squares = try (logNormalizers * logNormalizers * counted).sum()
        return [try entropy + squares * zLoss, entropy] + correct
    }
}

/// The summed training loss of a batch.
public struct T5Loss {
    /// The value to differentiate: cross entropy in nats plus z-loss, summed over all targets but padding.
    ///
    /// T5X minimizes this sum, since Adafactor is invariant to its scale; divide by ``targetCount`` for Adam.
    public let sum: Tensor
    /// The summed cross entropy in nats, without gradients.
    public let crossEntropy: Tensor
    /// Number of targets that had the largest logit, without gradients; nil if not counted.
    public let correctCount: Tensor?
    /// Number of targets, padding excluded.
    public let targetCount: Int
}

/// Teacher-forced measures of one or several batches.
public struct T5Score: Sendable, Equatable {
    /// Summed cross entropy in nats.
    public var crossEntropy: Double
    /// Number of targets that had the largest logit.
    public var correctCount: Int
    /// Number of targets, sentinels and ends included.
    public var targetCount: Int

    /// Given measures, 0 by default.
    public init(crossEntropy: Double = 0, correctCount: Int = 0, targetCount: Int = 0) {
        self.crossEntropy = crossEntropy
        self.correctCount = correctCount
        self.targetCount = targetCount
    }
}
