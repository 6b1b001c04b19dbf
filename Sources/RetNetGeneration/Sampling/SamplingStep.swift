/// One step on the way from logits to the distribution that a token is drawn from.
public protocol SamplingStep: Sendable {
    /// Changes or removes candidates; `recent` are the last tokens of the row, oldest first.
    func apply(to candidates: inout TokenCandidates, recent: ArraySlice<Int32>)
}
