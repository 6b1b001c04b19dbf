import RetNetTorch

/// A whole feed-forward with a sparse mixture of tiny experts beside it.
///
///     y = FFN(x) + Σ_e g_e E_e(x)
///
/// Every token passes the feed-forward; the experts add capacity for little work. Source: the partial experts of
/// AltUp's comparison (arXiv 2301.13310, appendix).
public struct PartialExperts: FeedForwardLayer {
    private let whole: any FeedForwardLayer
    private let experts: MixtureOfExperts

    /// Experts beside a feed-forward.
    public init(_ experts: MixtureOfExperts, beside whole: any FeedForwardLayer) {
        self.experts = experts
        self.whole = whole
    }

    /// Those of the experts.
    public var auxiliaryLossNames: [String] { experts.auxiliaryLossNames }

    /// x [B, T, D] → [B, T, D].
    public func callAsFunction(_ x: Tensor, _ context: ForwardContext) throws -> Tensor {
        try whole(x, context) + experts(x, context)
    }
}
