/// By what the scores of one position and head are divided before the head norm.
///
/// w is the sum of the decays of all positions seen, and R the scores with decay, divided by the root of w.
public enum ScoreNormalization: String, Sendable, CaseIterable {
    /// Nothing, as in fla.
    case none
    /// √w.
    case decay
    /// √w · max(|Σ R|, 1): the arXiv paper. It keeps one vector of the key size a head in the state.
    case decayAbsSum = "decay_abs_sum"
    /// √w · max(Σ |R|, 1): torchscale's parallel form. It needs every past key.
    case decaySumAbs = "decay_sum_abs"

    /// Whether a state of fixed size suffices, so that all three forms exist.
    public var streams: Bool { self != .decaySumAbs }
}
