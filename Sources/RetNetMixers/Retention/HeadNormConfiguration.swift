/// The norm over the b values of one head at one position.
public struct HeadNormConfiguration: Sendable, Equatable {
    /// The statistics of the norm.
    public enum Kind: String, Sendable, CaseIterable {
        /// Divided by the root mean square: torchscale since September 2023, fla.
        case rms
        /// Mean removed, divided by the standard deviation: the paper's group norm with one group a head.
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

    /// A root-mean-square norm without weights, unless told otherwise.
    public init(kind: Kind = .rms, affine: Affine = .none, epsilon: Double = 1e-6) {
        self.kind = kind
        self.affine = affine
        self.epsilon = epsilon
    }

    /// How many values `head_norm.weight` has, or nil where there is no such parameter.
    public func weightCount(headCount: Int, valueSize: Int) -> Int? {
        switch (kind, affine) {
        case (.none, _), (_, .none): nil
        case (_, .shared): valueSize
        case (_, .perHead): headCount * valueSize
        }
    }

    /// Whether `head_norm.bias` exists beside the weight.
    public var hasBias: Bool { kind == .layer && affine != .none }
}
