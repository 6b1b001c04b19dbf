import RetNetSettings

extension RWKVConfiguration: SettingsRepresentable {
    /// Reads `channel_count`, and `initialization` with RWKV's own by default.
    public init(reading reader: SettingsReader) {
        self.init(
            channelCount: reader.int("channel_count", in: 1...1 << 20),
            initialization: reader.enumeration("initialization", default: RWKVInitialization.rwkv))
    }

    /// All choices under their names in configuration files.
    public var settings: SettingsTree {
        [
            "channel_count": .int(channelCount),
            "initialization": .string(initialization.rawValue),
        ]
    }
}
