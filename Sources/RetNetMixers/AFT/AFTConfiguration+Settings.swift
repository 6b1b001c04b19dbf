import RetNetSettings

extension AFTConfiguration: SettingsRepresentable {
    /// Reads `channel_count`, `variant` and what that variant has: `window`, `bias`, `rank`, `maximum_length`.
    public init(reading reader: SettingsReader) {
        self.init(
            channelCount: reader.int("channel_count", in: 1...1 << 20), variant: AFTVariant(reading: reader),
            biases: reader.bool("biases", default: false))
    }

    /// All choices under their names in configuration files.
    public var settings: SettingsTree {
        var object: SettingsObject = [
            "channel_count": .int(channelCount), "variant": .string(variant.kind.rawValue),
        ]
        if case .local(let window, let bias) = variant {
            object["window"] = .int(window)
            object["bias"] = .string(bias.kind.rawValue)
        }
        if let (rank, maximumLength) = variant.factors {
            object["rank"] = .int(rank)
            object["maximum_length"] = .int(maximumLength)
        }
        object["biases"] = .bool(biases)
        return .object(object)
    }
}

extension AFTVariant {
    fileprivate init(reading reader: SettingsReader) {
        func factors() -> (rank: Int, maximumLength: Int) {
            (
                reader.int("rank", in: 1...1 << 14, default: 128),
                reader.int("maximum_length", in: 1...1 << 20, default: 2048)
            )
        }
        switch reader.enumeration("variant", default: Kind.simple) {
        case .simple:
            self = .simple
        case .full:
            let (rank, maximumLength) = factors()
            self = .full(rank: rank, maximumLength: maximumLength)
        case .local:
            let window = reader.int("window", in: 2...1 << 14, default: 32)
            switch reader.enumeration("bias", default: AFTBias.Kind.factorized) {
            case .relative:
                self = .local(window: window, bias: .relative)
            case .factorized:
                let (rank, maximumLength) = factors()
                self = .local(window: window, bias: .factorized(rank: rank, maximumLength: maximumLength))
            }
        }
    }
}
