import RetNetSettings

extension GatedLinearAttentionConfiguration: SettingsRepresentable {
    /// Reads `head_count`, `key_size` and `value_size`, and everything else with the defaults of the initialiser.
    public init(reading reader: SettingsReader) {
        let standard = GatedLinearAttentionConfiguration(headCount: 1, keySize: 1, valueSize: 1)
        self.init(
            headCount: reader.int("head_count", in: MatrixSettings.sizes),
            keySize: reader.int("key_size", in: MatrixSettings.sizes),
            valueSize: reader.int("value_size", in: MatrixSettings.sizes),
            gateRank: reader.int("gate_rank", in: MatrixSettings.sizes, default: standard.gateRank),
            gateDivisor: reader.double(
                "gate_divisor", in: SettingsRange.positive, default: standard.gateDivisor),
            headNorm: reader.optionalObject("head_norm").map { HeadNormConfiguration(reading: $0) }
                ?? standard.headNorm,
            gate: reader.enumeration("gate", default: standard.gate))
        guard !reader.hasProblems else { return }
        MatrixSettings.reportWidths(reader, headCount: headCount, keySize: keySize, valueSize: valueSize)
    }

    /// All choices under their names in configuration files.
    public var settings: SettingsTree {
        [
            "head_count": .int(headCount), "key_size": .int(keySize), "value_size": .int(valueSize),
            "gate_rank": .int(gateRank), "gate_divisor": .double(gateDivisor),
            "head_norm": headNorm.settings, "gate": .string(gate.rawValue),
        ]
    }
}
