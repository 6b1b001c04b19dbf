import RetNetSettings

/// The norms before (or after) mixers and feed-forwards and at the end of a model.
public struct NormConfiguration: Sendable, Equatable {
    /// The statistics of a norm.
    public enum Kind: String, Sendable, CaseIterable {
        /// Divided by the root mean square.
        case rms
        /// Mean removed, divided by the standard deviation.
        case layer
    }

    /// The statistics.
    public var kind: Kind
    /// Added to the mean square or the variance.
    public var epsilon: Double
    /// Whether there are weights and, with ``Kind/layer``, biases.
    public var affine: Bool

    /// A root-mean-square norm with weights, unless told otherwise.
    public init(kind: Kind = .rms, epsilon: Double = 1e-6, affine: Bool = true) {
        self.kind = kind
        self.epsilon = epsilon
        self.affine = affine
    }

    /// The parameters of a norm over some width with their names within it.
    public func parameterShapes(size: Int) -> [(name: String, shape: [Int])] {
        guard affine else { return [] }
        return kind == .layer ? [("weight", [size]), ("bias", [size])] : [("weight", [size])]
    }
}

extension NormConfiguration: SettingsRepresentable {
    /// Reads `kind`, `epsilon` and `affine`, each with the default of the initialiser.
    public init(reading reader: SettingsReader) {
        let standard = NormConfiguration()
        self.init(
            kind: reader.enumeration("kind", default: standard.kind),
            epsilon: reader.double("epsilon", in: SettingsRange.fraction, default: standard.epsilon),
            affine: reader.bool("affine", default: standard.affine))
    }

    /// All choices under their names in configuration files.
    public var settings: SettingsTree {
        ["kind": .string(kind.rawValue), "epsilon": .double(epsilon), "affine": .bool(affine)]
    }
}
