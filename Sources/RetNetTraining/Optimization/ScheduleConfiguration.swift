import RetNetSettings

/// The course of the learning rate: `schedule` in a training configuration.
public struct ScheduleConfiguration: Sendable, Equatable {
    /// The shape of the decay after the warm-up.
    public enum Kind: String, Sendable, CaseIterable {
        /// A straight line, as in the paper.
        case linear
        /// Half a wave of the cosine.
        case cosine
        /// No decay.
        case constant
        /// The peak during the warm-up too, then peak · √(warm-up / step): T5's schedule.
        case inverseSquareRoot = "inverse_square_root"
    }

    /// `kind`: the shape of the decay; linear as in the paper.
    public var kind = Kind.linear
    /// `warmup_steps`: updates until the peak is reached; 375 as in the paper.
    public var warmupStepCount = 375
    /// `minimum_ratio`: the share of the peak that the decay ends at; 0, for the paper states none.
    public var minimumRatio = 0.0

    /// The paper's settings.
    public init() {}

    /// Reads the settings, keeping present values where none are given.
    init(_ reader: SettingsReader?, defaults: ScheduleConfiguration = .init()) {
        self = defaults
        guard let reader else { return }
        kind = reader.enumeration("kind", default: kind)
        warmupStepCount = reader.int("warmup_steps", in: 0...1_000_000_000, default: warmupStepCount)
        minimumRatio = reader.double("minimum_ratio", in: SettingsRange.fraction, default: minimumRatio)
    }

    /// The settings as they are written to files.
    public var settings: SettingsTree {
        [
            "kind": .string(kind.rawValue), "warmup_steps": .int(warmupStepCount),
            "minimum_ratio": .double(minimumRatio),
        ]
    }
}
