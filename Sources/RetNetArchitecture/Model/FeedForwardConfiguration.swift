import RetNetSettings

/// The position-wise feed-forward of a block.
public struct FeedForwardConfiguration: Sendable, Equatable {
    /// The matrices of the feed-forward.
    public enum Kind: String, Sendable, CaseIterable {
        /// Two: down(act(up x)).
        case plain
        /// Three: down(act(up x) · gate x).
        case gated
        /// No feed-forward: the block is its mixer alone.
        case none
    }

    /// No feed-forward.
    public static let none = FeedForwardConfiguration(kind: .none, innerSize: 0)

    /// The activation after `up`.
    public enum Activation: String, Sendable, CaseIterable {
        /// x · Φ(x), exact.
        case gelu
        /// GELU by its tanh approximation: GPT-2's, `gelu_new`.
        case geluTanh = "gelu_tanh"
        /// x · sigmoid(x).
        case swish
        /// max(x, 0).
        case relu
    }

    /// Matrices of the feed-forward.
    public var kind: Kind
    /// Activation after `up`.
    public var activation: Activation
    /// Width between `up` and `down`.
    public var innerSize: Int
    /// True for a norm before `down`, with weights and of the model's kind.
    public var subNorm: Bool
    /// True for matrices with biases.
    public var biases: Bool
    /// Several feed-forwards, of which a token passes a few; nil for one for all tokens.
    public var experts: ExpertsConfiguration?

    /// By default the feed-forward of the paper, down(gelu(up x)).
    public init(
        kind: Kind = .plain, activation: Activation = .gelu, innerSize: Int, subNorm: Bool = false,
        biases: Bool = false, experts: ExpertsConfiguration? = nil
    ) {
        self.kind = kind
        self.activation = activation
        self.innerSize = innerSize
        self.subNorm = subNorm
        self.biases = biases
        self.experts = experts
    }
}

extension FeedForwardConfiguration: DeclaredSettings {
    /// The feed-forward of the paper without a width, which must be given.
    public static let standard = FeedForwardConfiguration(innerSize: 0)

    /// All settings; without a feed-forward `kind` is the only one.
    public static var declarations: [Setting<Self>] {
        let matrices: [Setting<Self>] = [
            .choice("activation", \.activation, "Activation after the first matrix."),
            .int(
                "inner_size", \.innerSize, in: 1...1 << 22, isRequired: true,
                "Width between the matrices."),
            .bool("sub_norm", \.subNorm, "Norm before the last matrix, with weights."),
            .bool("biases", \.biases, "Biases of the matrices."),
            .object("experts", \.experts),
        ]
        return [.choice("kind", \.kind, "Matrices of the feed-forward.")]
            + matrices.map { $0.when("kind: plain, gated", { $0.kind != .none }) }
    }

    /// Reports sub-norms of experts, which have none.
    public func reportContradictions(to reader: SettingsReader) {
        guard let experts, subNorm, experts.routing != .partial else { return }
        reader.reportContradiction("sub_norm", "experts have no norms: leave out one of the two")
    }
}
