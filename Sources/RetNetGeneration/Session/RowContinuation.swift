import RetNetText

/// What a session remembers of one row beside the model's state, so that it can go on exactly.
public struct RowContinuation: Sendable, Equatable, Codable {
    /// The seed of the row's generator, once one is in use.
    public var seed: UInt64?
    /// The generator after the last token drawn.
    public var generator: SeededGenerator?
    /// The last tokens, of prompt and text, for the repetition penalty.
    public var recentTokens: [Int32] = []
    /// Bytes of the text that were not given out yet.
    public var heldBytes: [UInt8] = []

    /// A row at its beginning.
    public init() {}

    /// Adds tokens to the recent ones, of which a bounded number is kept.
    mutating func remember(_ tokens: some Collection<Int32>) {
        recentTokens.append(contentsOf: tokens)
        let limit = SamplingParameters.maximumRepetitionWindow
        // Twice the limit before anything moves, so that a token costs the same however long the text is.
        if recentTokens.count > 2 * limit { recentTokens.removeFirst(recentTokens.count - limit) }
    }

    /// The same row with another stream of random numbers, for a fork.
    func forked(stream: UInt64) -> RowContinuation {
        var copy = self
        if let seed { copy.generator = SeededGenerator(seed: seed, stream: stream) }
        return copy
    }
}
