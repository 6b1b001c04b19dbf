import RetNetTorch

/// A position-wise layer: every token on its own, whatever the mixture of its neighbours.
public protocol FeedForwardLayer {
    /// The auxiliary losses that a pass in training adds, in order.
    var auxiliaryLossNames: [String] { get }
    /// x [B, T, D] → [B, T, D].
    func callAsFunction(_ x: Tensor, _ context: ForwardContext) throws -> Tensor
}

extension FeedForwardLayer {
    /// None.
    public var auxiliaryLossNames: [String] { [] }
}

extension FeedForward: FeedForwardLayer {}
