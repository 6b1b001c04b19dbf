import RetNetTorch

/// What linear attention does to queries and keys instead of the exponential of their product.
public enum FeatureMap: String, Sendable, CaseIterable {
    /// elu(x) + 1: x + 1 above 0, e^x below. The Linear Transformer's; always positive.
    case elu
    /// max(x, 0).
    case relu
    /// x itself.
    case identity

    /// φ(x), in the type of x.
    public func callAsFunction(_ x: Tensor) throws -> Tensor {
        switch self {
        case .elu: try x.relu() + x.clamped(-.infinity, 0).exp()
        case .relu: try x.relu()
        case .identity: x
        }
    }
}
