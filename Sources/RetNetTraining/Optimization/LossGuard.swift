import RetNetSettings

/// Conditions under which an update is skipped: `guard` in a run's configuration.
public struct GuardConfiguration: DeclaredSettings, Sendable, Equatable {
    /// Standard deviations above recent losses from which a loss is skipped; 0, the default, lets spikes pass.
    ///
    /// Losses and gradients that are not finite are always skipped.
    public var spikeZScore = 0.0
    /// Recent losses that a spike is compared with.
    public var window = 128
    /// Updates in a row that may be skipped before the run stops.
    public var maximumSkipped = 10

    /// Skips only losses and gradients that are not finite.
    public init() {}

    /// Skips only losses and gradients that are not finite.
    public static let standard = GuardConfiguration()

    /// `spike_z_score`, `window` and `max_skipped`.
    public static var declarations: [Setting<Self>] {
        [
            .double(
                "spike_z_score", \.spikeZScore, in: SettingsRange.nonNegative,
                "Standard deviations above recent losses from which a loss is skipped; 0 lets spikes pass. Losses and"
                    + " gradients that are not finite are always skipped."),
            .int("window", \.window, in: 8...100_000, "Recent losses that a spike is compared with."),
            .int(
                "max_skipped", \.maximumSkipped, in: 0...1_000_000,
                "Updates in a row that may be skipped before the run stops."),
        ]
    }
}

/// Skips unsound updates: those whose loss or gradients are not finite, and loss spikes.
public struct LossGuard: Sendable, Equatable {
    /// The decision about an update.
    public enum Verdict: Sendable, Equatable {
        /// The update is sound.
        case apply
        /// The update must not be made, for the given reason.
        case skip(reason: String)
    }

    /// The guard's state between steps; saved with every checkpoint.
    public struct Statistics: Sendable, Equatable, Codable {
        /// The most recent sound losses, oldest first.
        public var recentLosses: [Double] = []
        /// Updates skipped in a row.
        public var skippedInRow = 0
        /// Updates skipped in the whole run.
        public var skippedInAll = 0

        /// The state before the first step.
        public init() {}
    }

    /// The settings in use.
    public let configuration: GuardConfiguration
    /// The state after the steps so far.
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
        // A window that is less than half full gives no reliable estimate of the spread.
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
