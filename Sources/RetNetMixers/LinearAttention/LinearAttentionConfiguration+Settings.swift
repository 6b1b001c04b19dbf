import RetNetSettings

extension LinearAttentionConfiguration: SettingsRepresentable {
    /// Reads `head_count`, `head_size`, and everything else with the defaults of the initialiser.
    public init(reading reader: SettingsReader) {
        let sizes = 1...1 << 16
        let standard = LinearAttentionConfiguration(headCount: 1, headSize: 1)
        self.init(
            headCount: reader.int("head_count", in: sizes), headSize: reader.int("head_size", in: sizes),
            featureMap: reader.enumeration("feature_map", default: standard.featureMap),
            normalizer: reader.enumeration("normalizer", default: standard.normalizer),
            rotation: reader.enumeration("rotation", default: standard.rotation),
            epsilon: reader.double("epsilon", in: 0...1, default: standard.epsilon),
            biases: reader.bool("biases", default: standard.biases))
        if !reader.hasProblems { reportContradictions(to: reader) }
    }

    /// All choices under their names in configuration files.
    public var settings: SettingsTree {
        [
            "head_count": .int(headCount), "head_size": .int(headSize),
            "feature_map": .string(featureMap.rawValue), "normalizer": .string(normalizer.rawValue),
            "rotation": .string(rotation.rawValue), "epsilon": .double(epsilon), "biases": .bool(biases),
        ]
    }

    private func reportContradictions(to reader: SettingsReader) {
        if headCount * headSize > RetentionConfiguration.maximumWidth {
            reader.reportContradiction(
                "head_size",
                "all \(headCount) heads together may have at most \(RetentionConfiguration.maximumWidth) channels"
            )
        }
        if rotation != .none, headSize % 2 != 0 {
            reader.reportContradiction(
                "head_size",
                "it must be even because the rotation '\(rotation.rawValue)' turns pairs of channels")
        }
        if normalizer == .sum, featureMap == .identity {
            reader.reportContradiction(
                "feature_map",
                "the normalizer 'sum' divides by a sum of features, which 'identity' lets cross zero;"
                    + " use the feature map 'elu' or the normalizer 'rms'")
        }
    }
}
