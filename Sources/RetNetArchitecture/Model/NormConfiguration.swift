import RetNetSettings

/// The norms before (or after) mixers and feed-forwards and at the end of a model.
public struct NormConfiguration: Sendable, Equatable {
    /// The statistics of a norm.
    public enum Kind: String, Sendable, CaseIterable {
        /// Division by the root mean square.
        case rms
        /// Subtraction of the mean, division by the standard deviation.
        case layer
    }

    /// Statistics of the norms.
    public var kind: Kind
    /// Constant added to the mean square or the variance.
    public var epsilon: Double
    /// True for norms with weights and, with ``Kind/layer``, biases.
    public var affine: Bool

    /// By default a root-mean-square norm with weights.
    public init(kind: Kind = .rms, epsilon: Double = 1e-6, affine: Bool = true) {
        self.kind = kind
        self.epsilon = epsilon
        self.affine = affine
    }
}

extension NormConfiguration: DeclaredSettings {
    /// A root-mean-square norm with weights.
    public static let standard = NormConfiguration()

    /// All settings.
    public static var declarations: [Setting<Self>] {
        [
            .choice("kind", \.kind, "Statistics of the norms."),
            .double(
                "epsilon", \.epsilon, in: SettingsRange.fraction,
                "Constant added to the mean square or the variance."),
            .bool("affine", \.affine, "Weights and, for layer norms, biases."),
        ]
    }
}
