import RetNetSettings

/// The activation of the gate that multiplies the normalized heads.
public enum GateActivation: String, Sendable, CaseIterable {
    /// x · sigmoid(x): the paper and every implementation.
    case swish
    /// x · Φ(x), exact.
    case gelu
    /// No gate and no gate projection.
    case none
}

/// The norm over the b values of one head at one position.
public struct HeadNormConfiguration: Sendable, Equatable {
    /// The statistics of the norm.
    public enum Kind: String, Sendable, CaseIterable {
        /// Divided by the root mean square: torchscale since September 2023, fla.
        case rms
        /// Mean removed, divided by the standard deviation: the paper's group norm with one group per head.
        case layer
        /// No norm.
        case none
    }

    /// The trained weights of the norm.
    public enum Affine: String, Sendable, CaseIterable {
        /// None: torchscale.
        case none
        /// One weight of length b for all heads: fla.
        case shared
        /// One weight of length h · b.
        case perHead = "per_head"
    }

    /// The statistics.
    public var kind: Kind
    /// The trained weights; a ``Kind/layer`` norm with weights has biases of the same length.
    public var affine: Affine
    /// Added to the mean square or the variance.
    public var epsilon: Double

    /// A root-mean-square norm without weights by default.
    public init(kind: Kind = .rms, affine: Affine = .none, epsilon: Double = 1e-6) {
        self.kind = kind
        self.affine = affine
        self.epsilon = epsilon
    }

    /// Returns the number of values of `head_norm.weight`, or nil if there is no such parameter.
    public func weightCount(headCount: Int, valueSize: Int) -> Int? {
        switch (kind, affine) {
        case (.none, _), (_, .none): nil
        case (_, .shared): valueSize
        case (_, .perHead): headCount * valueSize
        }
    }

    /// True if `head_norm.bias` exists in addition to the weight.
    public var hasBias: Bool { kind == .layer && affine != .none }
}

extension HeadNormConfiguration: DeclaredSettings {
    /// A root-mean-square norm without weights.
    public static let standard = HeadNormConfiguration()

    /// All settings.
    public static var declarations: [Setting<Self>] {
        [
            .choice("kind", \.kind, "Statistics of the norm over the values of one head."),
            .choice("affine", \.affine, "Trained weights of the norm."),
            .double(
                "epsilon", \.epsilon, in: SettingsRange.fraction, "Added to the mean square or the variance."),
        ]
    }

    /// Reports weights of a norm that does not exist.
    public func reportContradictions(to reader: SettingsReader) {
        guard kind == .none, affine != .none else { return }
        reader.reportContradiction("affine", "a head norm of the kind 'none' has no weights; use 'none'")
    }
}
