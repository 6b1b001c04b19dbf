import RetNetSettings

extension Mamba2Configuration: SettingsRepresentable {
    /// Reads `head_count`, and everything else with the defaults of the initialiser.
    public init(reading reader: SettingsReader) {
        let standard = Mamba2Configuration(headCount: 1)
        self.init(
            headCount: reader.int("head_count", in: MatrixSettings.sizes),
            headSize: reader.int("head_size", in: MatrixSettings.sizes, default: standard.headSize),
            stateSize: reader.int("state_size", in: MatrixSettings.sizes, default: standard.stateSize),
            groupCount: reader.int("group_count", in: MatrixSettings.sizes, default: standard.groupCount),
            convolutionWidth: reader.int(
                "convolution_width", in: MatrixSettings.taps, default: standard.convolutionWidth),
            epsilon: reader.double("epsilon", in: SettingsRange.fraction, default: standard.epsilon))
        guard !reader.hasProblems else { return }
        if headCount % groupCount != 0 {
            reader.reportContradiction(
                "group_count", "the number of heads (\(headCount)) must be a multiple of it")
        }
        if groupCount * stateSize > MatrixSettings.maximumWidth {
            reader.reportContradiction(
                "state_size",
                "all \(groupCount) groups together may have at most \(MatrixSettings.maximumWidth) channels")
        }
        if innerSize > MatrixSettings.maximumWidth {
            reader.reportContradiction(
                "head_size",
                "all \(headCount) heads together may have at most \(MatrixSettings.maximumWidth) channels")
        }
    }

    /// All choices under their names in configuration files.
    public var settings: SettingsTree {
        [
            "head_count": .int(headCount), "head_size": .int(headSize), "state_size": .int(stateSize),
            "group_count": .int(groupCount), "convolution_width": .int(convolutionWidth),
            "epsilon": .double(epsilon),
        ]
    }
}
