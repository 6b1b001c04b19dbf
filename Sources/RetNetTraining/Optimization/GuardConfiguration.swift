import RetNetSettings

/// When an update is left out: `guard` in a training configuration.
public struct GuardConfiguration: Sendable, Equatable {
    /// `spike_z_score`: losses this many standard deviations above recent ones are skipped.
    ///
    /// 0, the default, lets spikes pass. Losses and gradients that are not finite are always skipped.
    public var spikeZScore = 0.0
    /// `window`: how many recent losses a spike is measured against, 128 by default.
    public var window = 128
    /// `max_skipped`: how many updates in a row may be skipped before the run stops, 10 by default.
    public var maximumSkipped = 10

    /// Only losses and gradients that are not finite are skipped.
    public init() {}

    /// Reads the settings, keeping present values where none are given.
    init(_ reader: SettingsReader?, defaults: GuardConfiguration = .init()) {
        self = defaults
        guard let reader else { return }
        spikeZScore = reader.double("spike_z_score", in: SettingsRange.nonNegative, default: spikeZScore)
        window = reader.int("window", in: 8...100_000, default: window)
        maximumSkipped = reader.int("max_skipped", in: 0...1_000_000, default: maximumSkipped)
    }

    /// The settings as they are written to files.
    public var settings: SettingsTree {
        [
            "spike_z_score": .double(spikeZScore), "window": .int(window),
            "max_skipped": .int(maximumSkipped),
        ]
    }
}
