/// Keeps the smallest set of most probable tokens that holds a share of the probability (nucleus sampling).
///
/// Source: Holtzman et al. (arXiv 1904.09751), section 3.1. The token that reaches the share is kept.
public struct TopP: SamplingStep {
    /// The share, above 0; 1 keeps all.
    public let share: Double

    /// A step that keeps a share of the probability.
    public init(_ share: Double) { self.share = share }

    /// Keeps the nucleus; of equally probable tokens the lowest numbers come first.
    public func apply(to candidates: inout TokenCandidates, recent: ArraySlice<Int32>) {
        guard share < 1, candidates.count > 1 else { return }
        let probabilities = candidates.probabilities()
        // All tokens below this one together have less than 1 - share, so none of them is in the nucleus.
        let cutoff = (1 - share) / Double(candidates.count)
        let order = probabilities.indices.filter { probabilities[$0] >= cutoff }
            .sorted {
                probabilities[$0] == probabilities[$1] ? $0 < $1 : probabilities[$0] > probabilities[$1]
            }
        var kept = [Bool](repeating: false, count: candidates.count)
        var mass = 0.0
        for index in order {
            kept[index] = true
            mass += probabilities[index]
            if mass >= share { break }
        }
        candidates.keep { kept[$0] }
    }
}
