import Foundation

/// Keeps bad steps out of the weights: updates whose loss or gradients are not finite, and loss spikes.
public struct LossGuard: Sendable, Equatable {
    /// What is to be done with an update.
    public enum Verdict: Sendable, Equatable {
        /// The update is sound.
        case apply
        /// The update must not be made, for the given reason.
        case skip(reason: String)
    }

    /// What the guard remembers between steps; saved with every checkpoint.
    public struct Statistics: Sendable, Equatable, Codable {
        /// The most recent sound losses, oldest first.
        public var recentLosses: [Double] = []
        /// How many updates in a row have been skipped.
        public var skippedInRow = 0
        /// How many updates have been skipped in the whole run.
        public var skippedInAll = 0

        /// Nothing seen yet.
        public init() {}
    }

    /// The settings in use.
    public let configuration: GuardConfiguration
    /// What has been seen so far.
    public var statistics: Statistics

    /// A guard that continues from the given statistics.
    public init(_ configuration: GuardConfiguration, statistics: Statistics = Statistics()) {
        self.configuration = configuration
        self.statistics = statistics
    }

    /// Judges one update by its mean loss in nats and its gradient norm.
    ///
    /// Throws ``TrainingError/diverged(step:skipped:reason:)`` when too many updates in a row are unsound.
    public mutating func judge(loss: Double, gradientNorm: Double, step: Int) throws -> Verdict {
        guard let reason = fault(loss: loss, gradientNorm: gradientNorm) else {
            statistics.skippedInRow = 0
            statistics.recentLosses.append(loss)
            let excess = statistics.recentLosses.count - max(configuration.window, 1)
            if excess > 0 { statistics.recentLosses.removeFirst(excess) }
            return .apply
        }
        statistics.skippedInRow += 1
        statistics.skippedInAll += 1
        guard statistics.skippedInRow <= configuration.maximumSkipped else {
            throw TrainingError.diverged(step: step, skipped: statistics.skippedInRow, reason: reason)
        }
        return .skip(reason: reason)
    }

    private func fault(loss: Double, gradientNorm: Double) -> String? {
        guard loss.isFinite else { return "the loss is \(loss)" }
        guard gradientNorm.isFinite else { return "the gradient norm is \(gradientNorm)" }
        // A half-filled window knows too little of the spread to call anything an outlier.
        guard configuration.spikeZScore > 0, statistics.recentLosses.count * 2 >= configuration.window else {
            return nil
        }
        let count = Double(statistics.recentLosses.count)
        let mean = statistics.recentLosses.reduce(0, +) / count
        let variance = statistics.recentLosses.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / count
        let deviation = variance.squareRoot()
        guard deviation > 0, loss > mean + configuration.spikeZScore * deviation else { return nil }
        let score = (loss - mean) / deviation
        return "the loss \(loss) is \((score * 10).rounded() / 10) standard deviations above recent ones"
    }
}
