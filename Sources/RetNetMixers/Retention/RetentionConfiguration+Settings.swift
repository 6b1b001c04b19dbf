import RetNetSettings

extension RetentionConfiguration: SettingsRepresentable {
    /// The largest width of all heads together.
    public static let maximumWidth = 1 << 20

    /// Reads `head_count`, `key_size` and `value_size`, and everything else with the defaults of the initialiser.
    public init(reading reader: SettingsReader) {
        let sizes = 1...1 << 16
        let standard = RetentionConfiguration(headCount: 1, keySize: 2, valueSize: 2)
        self.init(
            headCount: reader.int("head_count", in: sizes),
            keyValueHeadCount: reader.optionalInt("key_value_head_count", in: sizes),
            keySize: reader.int("key_size", in: sizes),
            valueSize: reader.int("value_size", in: sizes),
            decay: DecaySchedule(reading: reader, "decay", default: standard.decay),
            rotation: reader.enumeration("rotation", default: standard.rotation),
            normalization: reader.enumeration("normalization", default: standard.normalization),
            headNorm: reader.optionalObject("head_norm").map { HeadNormConfiguration(reading: $0) }
                ?? standard.headNorm,
            gate: reader.enumeration("gate", default: standard.gate),
            biases: reader.bool("biases", default: standard.biases))
        // With placeholders among the values, contradictions would mean nothing.
        if !reader.hasProblems { reportContradictions(to: reader) }
    }

    /// All choices under their names in configuration files.
    public var settings: SettingsTree {
        var object: SettingsObject = ["head_count": .int(headCount)]
        if let keyValueHeadCount { object["key_value_head_count"] = .int(keyValueHeadCount) }
        object["key_size"] = .int(keySize)
        object["value_size"] = .int(valueSize)
        object["decay"] = decay.settings
        object["rotation"] = .string(rotation.rawValue)
        object["normalization"] = .string(normalization.rawValue)
        object["head_norm"] = headNorm.settings
        object["gate"] = .string(gate.rawValue)
        object["biases"] = .bool(biases)
        return .object(object)
    }

    private func reportContradictions(to reader: SettingsReader) {
        if let keyValueHeadCount, headCount % keyValueHeadCount != 0 {
            reader.reportContradiction(
                "key_value_head_count", "the number of heads (\(headCount)) must be a multiple of it")
        }
        if rotation != .none, keySize % 2 != 0 {
            reader.reportContradiction(
                "key_size",
                "it must be even because the rotation '\(rotation.rawValue)' turns pairs of channels")
        }
        if case .list(let gammas) = decay, gammas.count != headCount {
            reader.reportContradiction("decay", "one decay is needed for each of the \(headCount) heads")
        }
        if headCount * keySize > Self.maximumWidth {
            reader.reportContradiction(
                "key_size",
                "all \(headCount) heads together may have at most \(Self.maximumWidth) key channels")
        }
        if headCount * valueSize > Self.maximumWidth {
            reader.reportContradiction(
                "value_size", "all \(headCount) heads together may have at most \(Self.maximumWidth) values")
        }
    }
}
