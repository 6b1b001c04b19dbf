import RetNetSettings

extension HyenaConfiguration: SettingsRepresentable {
    /// Reads `channel_count` and `maximum_length`, and everything else with the defaults of the initialiser.
    public init(reading reader: SettingsReader) {
        let standard = HyenaConfiguration(channelCount: 1)
        self.init(
            channelCount: reader.int("channel_count", in: 1...1 << 20),
            order: reader.int("order", in: 2...8, default: standard.order),
            maximumLength: reader.int("maximum_length", in: 2...1 << 24, default: standard.maximumLength),
            featureCount: reader.int("feature_count", in: 3...1 << 10, default: standard.featureCount),
            filterSize: reader.int("filter_size", in: 1...1 << 12, default: standard.filterSize),
            sineFrequency: reader.double("sine_frequency", in: 0...1e4, default: standard.sineFrequency),
            shortSize: reader.int("short_size", in: 1...64, default: standard.shortSize),
            windowShift: reader.double("window_shift", in: -1e3...1e3, default: standard.windowShift),
            trainsFeatures: reader.bool("trains_features", default: standard.trainsFeatures))
        if !reader.hasProblems, featureCount % 2 == 0 {
            reader.reportContradiction(
                "feature_count", "it must be odd: time, and a cosine and a sine of each frequency")
        }
    }

    /// All choices under their names in configuration files.
    public var settings: SettingsTree {
        [
            "channel_count": .int(channelCount), "order": .int(order), "maximum_length": .int(maximumLength),
            "feature_count": .int(featureCount), "filter_size": .int(filterSize),
            "sine_frequency": .double(sineFrequency), "short_size": .int(shortSize),
            "window_shift": .double(windowShift), "trains_features": .bool(trainsFeatures),
        ]
    }
}
