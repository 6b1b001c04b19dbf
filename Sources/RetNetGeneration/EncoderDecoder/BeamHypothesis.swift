/// One output of a search.
public struct BeamHypothesis: Sendable, Equatable {
    /// The tokens, with the end token where there is one.
    public var tokens: [Int32]
    /// The log-probability in nats divided by a power of the length.
    public var score: Double
    /// Whether the output ended by itself, and not because it was long enough or the search was cancelled.
    public var isFinished: Bool
}
