import RetNetSettings

extension RWKVChannelMixConfiguration: SettingsRepresentable {
    /// Reads `channel_count`, `inner_size` with 4 times as much by default, and `initialization`.
    public init(reading reader: SettingsReader) {
        self.init(
            channelCount: reader.int("channel_count", in: 1...1 << 20),
            innerSize: reader.optionalInt("inner_size", in: 1...1 << 22),
            initialization: reader.enumeration("initialization", default: RWKVInitialization.rwkv))
    }

    /// All choices under their names in configuration files.
    public var settings: SettingsTree {
        [
            "channel_count": .int(channelCount), "inner_size": .int(innerSize),
            "initialization": .string(initialization.rawValue),
        ]
    }
}
