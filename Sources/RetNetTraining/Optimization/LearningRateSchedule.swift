import Foundation
import RetNetSettings

/// The course of the learning rate: `schedule` in a run's configuration.
public struct ScheduleConfiguration: DeclaredSettings, Sendable, Equatable {
    /// The shape of the decay after the warm-up.
    public enum Kind: String, Sendable, CaseIterable {
        /// A straight line, as in the RetNet paper.
        case linear
        /// Half a period of the cosine.
        case cosine
        /// No decay.
        case constant
        /// The peak during the warm-up too, then peak · √(warm-up / step): T5's schedule.
        case inverseSquareRoot = "inverse_square_root"
    }

    /// Shape of the decay; linear as in the paper.
    public var kind = Kind.linear
    /// Updates until the peak is reached; 375 as in the paper.
    ///
    /// Setting it means that number: it sets ``warmupShare`` to 1.
    public var warmupStepCount = 375 { didSet { warmupShare = 1 } }
    /// Largest share of the run's updates that the warm-up takes; does not limit T5's schedule.
    ///
    /// Below 1 where the number of updates was not chosen for this run, as those of presets.
    public var warmupShare = 1.0
    /// Share of the peak that the decay ends at; 0, for the paper states none.
    public var minimumRatio = 0.0

    /// The paper's settings.
    public init() {}

    /// The share of a warm-up whose number of updates is not given.
    public static let defaultWarmupShare = 0.1

    /// The paper's settings, with a warm-up that short runs shorten.
    public static let standard = {
        var configuration = ScheduleConfiguration()
        configuration.warmupShare = defaultWarmupShare
        return configuration
    }()

    /// Returns the same course for a run of `stepCount` updates with the warm-up as a number of updates alone.
    ///
    /// So it stays what it was when the run becomes longer.
    public func resolved(stepCount: Int) -> ScheduleConfiguration {
        var result = self
        result.warmupShare = 1
        // T5's schedule has no rise to its peak, and its decay counts updates from the start of the run.
        guard kind != .inverseSquareRoot, warmupShare < 1 else { return result }
        // The addition makes up for the rounding of products such as 0.29 · 100.
        let limit = Int((warmupShare * Double(max(0, stepCount)) + 1e-9).rounded(.down))
        result.warmupStepCount = min(warmupStepCount, limit)
        return result
    }

    /// `kind`, `warmup_steps`, `warmup_share` and `minimum_ratio`.
    public static var declarations: [Setting<Self>] {
        [
            .choice(
                "kind", \.kind,
                "Decay after the warm-up. `inverse_square_root`: the peak until the end of the warm-up, then falling"
                    + " with the root of the step."),
            Setting(
                "warmup_steps", values: "an integer from 0 to 1000000000",
                "Updates until the peak; by default those of the preset, at most `warmup_share` of the run.",
                read: { reader, root in
                    guard let count = reader.optionalInt("warmup_steps", in: 0...1_000_000_000) else {
                        return
                    }
                    root.warmupStepCount = count
                }, write: { .int($0.warmupStepCount) }),
            .double(
                "warmup_share", \.warmupShare, in: SettingsRange.fraction,
                "Largest share of the run's updates that the warm-up takes; 1 where `warmup_steps` is given. Does not limit"
                    + " `inverse_square_root`. Runs that are extended keep the warm-up that they began with."),
            .double(
                "minimum_ratio", \.minimumRatio, in: SettingsRange.fraction,
                "Share of the peak that the decay ends at."),
        ]
    }
}

/// The learning rate of every update: a linear warm-up, then a decay to a share of the peak.
public struct LearningRateSchedule: Sendable, Equatable {
    /// The highest learning rate, reached at the end of the warm-up.
    public let peak: Double
    /// Kind, warm-up and final share.
    public let configuration: ScheduleConfiguration
    /// The number of updates of the whole run.
    public let stepCount: Int

    /// A schedule over a run of `stepCount` updates.
    public init(peak: Double, stepCount: Int, _ configuration: ScheduleConfiguration) {
        self.peak = peak
        self.stepCount = stepCount
        self.configuration = configuration.resolved(stepCount: stepCount)
    }

    /// The learning rate of an update, counted from 1.
    ///
    /// Update s of w warm-up updates gets s / w of the peak (all of it with the inverse square root); the decay then
    /// runs from the peak at update w + 1 towards the final share, which updates beyond the end get.
    public func learningRate(step: Int) -> Double {
        let warmup = max(0, configuration.warmupStepCount)
        if configuration.kind == .inverseSquareRoot {
            let plateau = Double(max(1, warmup))
            return peak * max(configuration.minimumRatio, (plateau / max(plateau, Double(step))).squareRoot())
        }
        if step <= warmup { return peak * Double(max(step, 0)) / Double(warmup) }
        let span = Double(stepCount) - Double(warmup)
        let done = span > 0 ? min(1, max(0, (Double(step) - 1 - Double(warmup)) / span)) : 1
        let floor = configuration.minimumRatio
        switch configuration.kind {
        case .constant, .inverseSquareRoot: return peak
        case .linear: return peak * (1 - (1 - floor) * done)
        case .cosine: return peak * (floor + (1 - floor) * 0.5 * (1 + cos(.pi * done)))
        }
    }
}
