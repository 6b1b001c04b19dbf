import RetNetTorch

/// The feed-forward of T5's layers, under the names of `feed_forward_proj` in Hugging Face's configurations.
public enum T5FeedForwardKind: String, Sendable, CaseIterable {
    /// wo · relu(wi x): T5 v1.0.
    case relu
    /// wo · gelu(wi x), with the exact GELU.
    case gelu
    /// wo · silu(wi x).
    case silu
    /// wo · (relu(wi_0 x) ⊙ wi_1 x).
    case gatedRelu = "gated-relu"
    /// wo · (gelu(wi_0 x) ⊙ wi_1 x), with GELU by its tanh approximation: T5 v1.1.
    case gatedGelu = "gated-gelu"
    /// wo · (silu(wi_0 x) ⊙ wi_1 x).
    case gatedSilu = "gated-silu"

    /// Whether there is a linear branch beside the activated one.
    public var isGated: Bool { rawValue.hasPrefix("gated") }

    /// The activation of the first branch.
    public var activation: FusedOperators.Activation {
        switch self {
        case .relu, .gatedRelu: .relu
        case .gelu: .gelu
        case .gatedGelu: .geluTanh
        case .silu, .gatedSilu: .swish
        }
    }
}
