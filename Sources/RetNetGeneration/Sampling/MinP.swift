import Foundation

/// Keeps the tokens that have at least a share of the most probable token's probability.
///
/// Source: Nguyen et al. (arXiv 2407.01082).
public struct MinP: SamplingStep {
    /// The share, from 0 (keeps all) to 1.
    public let share: Double

    /// A step for a share of the largest probability.
    public init(_ share: Double) { self.share = share }

    /// Keeps what is probable enough.
    public func apply(to candidates: inout TokenCandidates, recent: ArraySlice<Int32>) {
        guard share > 0 else { return }
        let threshold = candidates.largestLogit + log(share)
        let logits = candidates.logits
        candidates.keep { logits[$0] >= threshold }
    }
}
