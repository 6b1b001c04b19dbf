import RetNetSettings

extension GatedRetentionConfiguration: SettingsRepresentable {
    /// Reads `head_count`, `key_size` and `value_size`, and everything else with the defaults of the initialiser.
    public init(reading reader: SettingsReader) {
        let standard = GatedRetentionConfiguration(headCount: 1, keySize: 2, valueSize: 2)
        self.init(
            headCount: reader.int("head_count", in: MatrixSettings.sizes),
            keySize: reader.int("key_size", in: MatrixSettings.sizes),
            valueSize: reader.int("value_size", in: MatrixSettings.sizes),
            gateDivisor: reader.double(
                "gate_divisor", in: SettingsRange.positive, default: standard.gateDivisor),
            rotation: reader.enumeration("rotation", default: standard.rotation),
            headNorm: reader.optionalObject("head_norm").map { HeadNormConfiguration(reading: $0) }
                ?? standard.headNorm,
            gate: reader.enumeration("gate", default: standard.gate))
        guard !reader.hasProblems else { return }
        if rotation != .none, keySize % 2 != 0 {
            reader.reportContradiction(
                "key_size",
                "it must be even because the rotation '\(rotation.rawValue)' turns pairs of channels")
        }
        MatrixSettings.reportWidths(reader, headCount: headCount, keySize: keySize, valueSize: valueSize)
    }

    /// All choices under their names in configuration files.
    public var settings: SettingsTree {
        [
            "head_count": .int(headCount), "key_size": .int(keySize), "value_size": .int(valueSize),
            "gate_divisor": .double(gateDivisor), "rotation": .string(rotation.rawValue),
            "head_norm": headNorm.settings, "gate": .string(gate.rawValue),
        ]
    }
}
