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
    public var warmupStepCount = 375
    /// Share of the peak that the decay ends at; 0, for the paper states none.
    public var minimumRatio = 0.0

    /// The paper's settings.
    public init() {}

    /// The paper's settings.
    public static let standard = ScheduleConfiguration()

    /// `kind`, `warmup_steps` and `minimum_ratio`.
    public static var declarations: [Setting<Self>] {
        [
            .choice(
                "kind", \.kind,
                "Decay after the warm-up. `inverse_square_root`: the peak until the end of the warm-up, then falling"
                    + " with the root of the step."),
            .int("warmup_steps", \.warmupStepCount, in: 0...1_000_000_000, "Updates until the peak."),
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
        self.configuration = configuration
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
