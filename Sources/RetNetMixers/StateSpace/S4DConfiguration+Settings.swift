import RetNetSettings

extension S4DConfiguration: SettingsRepresentable {
    /// Reads `channel_count`, and everything else with the defaults of the initialiser.
    public init(reading reader: SettingsReader) {
        let standard = S4DConfiguration(channelCount: 1)
        self.init(
            channelCount: reader.int("channel_count", in: 1...1 << 20),
            stateSize: reader.int("state_size", in: 2...1 << 12, default: standard.stateSize),
            block: reader.enumeration("block", default: standard.block),
            initialization: reader.enumeration("initialization", default: standard.initialization),
            discretization: reader.enumeration("discretization", default: standard.discretization))
        if !reader.hasProblems, stateSize % 2 != 0 {
            reader.reportContradiction(
                "state_size", "it must be even because modes come in pairs of conjugates")
        }
    }

    /// All choices under their names in configuration files.
    public var settings: SettingsTree {
        [
            "channel_count": .int(channelCount), "state_size": .int(stateSize),
            "block": .string(block.rawValue), "initialization": .string(initialization.rawValue),
            "discretization": .string(discretization.rawValue),
        ]
    }
}
