import RetNetSettings

extension GatedDeltaNetConfiguration: SettingsRepresentable {
    /// Reads `head_count`, `key_size` and `value_size`, and everything else with the defaults of the initialiser.
    public init(reading reader: SettingsReader) {
        let standard = GatedDeltaNetConfiguration(headCount: 1, keySize: 1, valueSize: 1)
        self.init(
            headCount: reader.int("head_count", in: MatrixSettings.sizes),
            keySize: reader.int("key_size", in: MatrixSettings.sizes),
            valueSize: reader.int("value_size", in: MatrixSettings.sizes),
            convolutionWidth: reader.int(
                "convolution_width", in: MatrixSettings.taps, default: standard.convolutionWidth),
            betaRange: reader.double(
                "beta_range", in: Double.leastNonzeroMagnitude...2, default: standard.betaRange),
            decays: reader.bool("decays", default: standard.decays),
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
            "convolution_width": .int(convolutionWidth), "beta_range": .double(betaRange),
            "decays": .bool(decays), "head_norm": headNorm.settings, "gate": .string(gate.rawValue),
        ]
    }
}
