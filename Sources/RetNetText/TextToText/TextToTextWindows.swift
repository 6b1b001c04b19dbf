/// Examples for encoder-decoders from windows of running text, in random order.
///
/// Each epoch cuts the stream at a new random phase into windows and returns them in a new random order. The objective
/// turns each window into an example, with random numbers that differ from epoch to epoch. Documents follow each other
/// without a separator, as in T5's training; windows of a single token at the ends are left out.
public struct TextToTextWindows: TextToTextSource {
    /// The tokens from which the windows are cut.
    public let stream: TokenStream
    /// The conversion of windows into examples.
    public let objective: TextToTextObjective
    /// The number of rows of a batch.
    public let rowCount: Int
    /// The maximum number of source tokens of an example.
    public let inputLength: Int
    /// The maximum number of target tokens of an example.
    public let targetLength: Int
    /// The number of tokens of a window.
    public let windowLength: Int
    /// The seed of the order and of the objective.
    public let seed: UInt64
    private var walk: WindowWalk

    /// Creates the source at the start of epoch 0.
    ///
    /// Throws `TextError.corpusTooShort` if the stream has no more tokens than a window, and `TextError.invalidArgument`
    /// for invalid shapes.
    public init(
        stream: TokenStream, objective: TextToTextObjective, rowCount: Int, inputLength: Int, seed: UInt64
    ) throws {
        let lengths = try objective.lengths(inputLength: inputLength)
        try BatchBuilder.check(rowCount: rowCount, length: max(lengths.source, lengths.target))
        // One more token, so that every phase leaves a window.
        guard stream.tokenCount > lengths.window else {
            throw TextError.corpusTooShort(
                tokenCount: stream.tokenCount, neededTokenCount: lengths.window + 1)
        }
        self.stream = stream
        self.objective = objective
        self.rowCount = rowCount
        self.inputLength = lengths.source
        targetLength = lengths.target
        windowLength = lengths.window
        self.seed = seed
        let (tokenCount, length) = (stream.tokenCount, lengths.window)
        walk = WindowWalk(length: length, seed: seed) { phase in
            // The first window has 0...length - 1 tokens, all others follow it without gaps.
            let rest = max(0, tokenCount - phase)
            return (phase > 1 ? 1 : 0) + rest / length + (rest % length > 1 ? 1 : 0)
        }
    }

    /// The number of completed passes over the text.
    public var epoch: Int { walk.epoch }

    /// The capacity of a batch in source and target tokens.
    public var tokensPerBatch: Int { rowCount * (inputLength + targetLength) }
    /// The capacity of a batch in target tokens.
    public var targetsPerBatch: Int { rowCount * targetLength }
    /// The number of batches per pass over the text.
    public var batchesPerEpoch: Double { Double(walk.windowCount) / Double(rowCount) }

    /// The position in the text.
    public var state: BatchSourceState {
        BatchSourceState(
            kind: objective.identity, fingerprint: stream.fingerprint, tokenCount: stream.tokenCount,
            rowCount: rowCount, length: windowLength, seed: seed, epoch: epoch, index: walk.index, rows: [])
    }

    /// Moves to a saved position; throws `TextError.stateMismatch` if it belongs to other data or settings.
    public mutating func restore(_ state: BatchSourceState) throws {
        try state.check(belongsWith: self.state)
        try walk.restore(state, name: "window")
    }

    /// Returns the next batch; throws `TextError` if a token of the data is outside the vocabulary.
    public mutating func next() throws -> TextToTextBatch {
        let start = self
        do {
            return TextToTextBatch(try (0..<rowCount).map { _ in try nextExample() })
        } catch {
            // A failed call leaves the position unchanged.
            self = start
            throw error
        }
    }

    /// Returns at most `limit` batches of another text for evaluation, always the same ones.
    ///
    /// They contain each window once, from the start of the text. The last window may be shorter, and the last batch
    /// may have fewer rows.
    public func evaluationBatches(of text: TokenStream, limit: Int = .max) -> [() throws -> TextToTextBatch] {
        let count = text.tokenCount
        let (objective, length, rowCount, seed) = (objective, windowLength, rowCount, seed)
        // A last window of one token has no example.
        let windowCount = count / length + (count % length > 1 ? 1 : 0)
        return stride(from: 0, to: windowCount, by: rowCount).prefix(max(0, limit)).map { first in
            {
                let windows = first..<min(first + rowCount, windowCount)
                return TextToTextBatch(
                    try windows.map { window in
                        var generator = SeededGenerator(seed: seed, stream: UInt64(window) &+ 1)
                        let start = window * length
                        return try objective.example(
                            text.tokens(in: start..<min(start + length, count)), using: &generator)
                    })
            }
        }
    }

    private mutating func nextExample() throws -> EncodedExample {
        let (window, phase) = (walk.window, walk.phase)
        // A stream of random numbers of its own for each window of each epoch.
        var generator = SeededGenerator(
            seed: seed ^ 0x7370_616E,
            stream: UInt64(truncatingIfNeeded: epoch) << 40 &+ UInt64(walk.index) &+ 1)
        let full = window - (phase > 1 ? 1 : 0)
        let start = full < 0 ? 0 : phase + full * windowLength
        let end = full < 0 ? phase : min(start + windowLength, stream.tokenCount)
        let tokens = try stream.tokens(in: start..<end)
        walk.advance()
        return try objective.example(tokens, using: &generator)
    }
}
