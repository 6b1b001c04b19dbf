import RetNetSettings

extension H3Configuration: SettingsRepresentable {
    /// Reads `head_count`, and everything else with the defaults of the initialiser.
    public init(reading reader: SettingsReader) {
        let standard = H3Configuration(headCount: 1)
        self.init(
            headCount: reader.int("head_count", in: 1...1 << 16),
            headSize: reader.int("head_size", in: 1...1 << 8, default: standard.headSize),
            stateSize: reader.int("state_size", in: 2...1 << 12, default: standard.stateSize),
            shiftSize: reader.int("shift_size", in: 1...1 << 12, default: standard.shiftSize),
            initialization: reader.enumeration("initialization", default: standard.initialization),
            discretization: reader.enumeration("discretization", default: standard.discretization),
            biases: reader.bool("biases", default: standard.biases))
        guard !reader.hasProblems else { return }
        if stateSize % 2 != 0 {
            reader.reportContradiction(
                "state_size", "it must be even because modes come in pairs of conjugates")
        }
        if channelCount > 1 << 20 {
            reader.reportContradiction(
                "head_size", "all \(headCount) heads together may have at most \(1 << 20) channels")
        }
    }

    /// All choices under their names in configuration files.
    public var settings: SettingsTree {
        [
            "head_count": .int(headCount), "head_size": .int(headSize), "state_size": .int(stateSize),
            "shift_size": .int(shiftSize), "initialization": .string(initialization.rawValue),
            "discretization": .string(discretization.rawValue), "biases": .bool(biases),
        ]
    }
}
