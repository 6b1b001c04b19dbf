import RetNetSettings

extension AttentionConfiguration: SettingsRepresentable {
    /// The largest width of all heads together.
    public static let maximumWidth = 1 << 20

    /// Reads `head_count` and `head_size`, and everything else with the defaults of the initialiser.
    public init(reading reader: SettingsReader) {
        let sizes = 1...1 << 16
        let standard = AttentionConfiguration(headCount: 1, headSize: 2)
        self.init(
            headCount: reader.int("head_count", in: sizes),
            keyValueHeadCount: reader.optionalInt("key_value_head_count", in: sizes),
            headSize: reader.int("head_size", in: sizes),
            rotation: reader.enumeration("rotation", default: standard.rotation),
            rotaryBase: reader.double("rotary_base", in: 1...1e12, default: standard.rotaryBase),
            xPosScaleBase: reader.optionalDouble("xpos_scale_base", in: 0.125...1e6),
            biases: reader.bool("biases", default: standard.biases))
        // With placeholders among the values, contradictions would mean nothing.
        if !reader.hasProblems { reportContradictions(to: reader) }
    }

    /// All choices under their names in configuration files.
    public var settings: SettingsTree {
        var object: SettingsObject = ["head_count": .int(headCount)]
        if let keyValueHeadCount { object["key_value_head_count"] = .int(keyValueHeadCount) }
        object["head_size"] = .int(headSize)
        object["rotation"] = .string(rotation.rawValue)
        object["rotary_base"] = .double(rotaryBase)
        if let xPosScaleBase { object["xpos_scale_base"] = .double(xPosScaleBase) }
        object["biases"] = .bool(biases)
        return .object(object)
    }

    private func reportContradictions(to reader: SettingsReader) {
        if let keyValueHeadCount, headCount % keyValueHeadCount != 0 {
            reader.reportContradiction(
                "key_value_head_count", "the number of heads (\(headCount)) must be a multiple of it")
        }
        if rotation != .none, headSize % 2 != 0 {
            reader.reportContradiction(
                "head_size",
                "it must be even because the rotation '\(rotation.rawValue)' turns pairs of channels")
        }
        if xPosScaleBase != nil, rotation == .none {
            reader.reportContradiction(
                "xpos_scale_base", "xPos damps rotated pairs; use the rotation 'interleaved' or 'halves'")
        }
        if headCount * headSize > Self.maximumWidth {
            reader.reportContradiction(
                "head_size",
                "all \(headCount) heads together may have at most \(Self.maximumWidth) channels")
        }
    }
}
