/// Makes recent tokens less probable: positive logits are divided by the penalty, others multiplied.
///
/// Source: CTRL (arXiv 1909.05858), section 4.1, as every tool of the field applies it.
public struct RepetitionPenalty: SamplingStep {
    /// Above 1 discourages repetition, below 1 encourages it.
    public let penalty: Double
    /// How many of the last tokens count.
    public let window: Int

    /// A penalty over a window of tokens.
    public init(penalty: Double, window: Int) {
        self.penalty = penalty
        self.window = window
    }

    /// Penalises each token of the window once, however often it occurs.
    public func apply(to candidates: inout TokenCandidates, recent: ArraySlice<Int32>) {
        guard penalty != 1 else { return }
        for token in Set(recent.suffix(max(0, window))) {
            guard let index = candidates.index(of: token) else { continue }
            let logit = candidates.logits[index]
            candidates.setLogit(at: index, to: logit > 0 ? logit / penalty : logit * penalty)
        }
    }
}
