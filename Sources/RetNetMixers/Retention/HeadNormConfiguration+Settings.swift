import RetNetSettings

extension HeadNormConfiguration: SettingsRepresentable {
    /// Reads `kind`, `affine` and `epsilon`, each with the default of the initialiser.
    public init(reading reader: SettingsReader) {
        let standard = HeadNormConfiguration()
        self.init(
            kind: reader.enumeration("kind", default: standard.kind),
            affine: reader.enumeration("affine", default: standard.affine),
            epsilon: reader.double("epsilon", in: SettingsRange.fraction, default: standard.epsilon))
        if kind == .none, affine != .none, !reader.hasProblems {
            reader.reportContradiction("affine", "a head norm of the kind 'none' has no weights; use 'none'")
        }
    }

    /// All choices under their names in configuration files.
    public var settings: SettingsTree {
        ["kind": .string(kind.rawValue), "affine": .string(affine.rawValue), "epsilon": .double(epsilon)]
    }
}
