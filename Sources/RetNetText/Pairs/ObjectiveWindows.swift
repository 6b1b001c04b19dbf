/// Pieces of a text in random order, made into examples for an encoder-decoder.
///
/// Each epoch cuts the stream at a new random phase into pieces and hands them out in a new random order, each with
/// random numbers of its own: what is cut out of a text differs from epoch to epoch. Documents follow each other
/// without anything between them, as T5 is trained; pieces of a single token at the ends are left out.
public struct ObjectiveWindows: TextToTextSource {
    /// The tokens that the pieces are cut from.
    public let stream: TokenStream
    /// What a piece becomes.
    public let objective: TextObjective
    /// The number of rows of a batch.
    public let rowCount: Int
    /// The longest source.
    public let inputLength: Int
    /// The longest target.
    public let targetLength: Int
    /// The number of tokens of a piece.
    public let pieceLength: Int
    /// The seed of the order and of what happens to pieces.
    public let seed: UInt64
    private var walk: WindowWalk

    /// Creates the source at the start of epoch 0.
    ///
    /// Throws `TextError.corpusTooShort` if the stream has no more tokens than a piece, and `TextError.invalidArgument`
    /// for impossible shapes.
    public init(
        stream: TokenStream, objective: TextObjective, rowCount: Int, inputLength: Int, seed: UInt64
    ) throws {
        let lengths = try objective.lengths(inputLength: inputLength)
        try BatchBuilder.check(rowCount: rowCount, length: max(lengths.source, lengths.target))
        // One token more, so that every phase leaves a piece.
        guard stream.tokenCount > lengths.piece else {
            throw TextError.corpusTooShort(
                tokenCount: stream.tokenCount, neededTokenCount: lengths.piece + 1)
        }
        self.stream = stream
        self.objective = objective
        self.rowCount = rowCount
        self.inputLength = lengths.source
        targetLength = lengths.target
        pieceLength = lengths.piece
        self.seed = seed
        let (tokenCount, length) = (stream.tokenCount, lengths.piece)
        walk = WindowWalk(length: length, seed: seed) { phase in
            // The first piece has 0...length - 1 tokens, all others follow it without gaps.
            let rest = max(0, tokenCount - phase)
            return (phase > 1 ? 1 : 0) + rest / length + (rest % length > 1 ? 1 : 0)
        }
    }

    /// How many times the whole text has been handed out.
    public var epoch: Int { walk.epoch }

    /// The number of source and target tokens that a batch has room for.
    public var tokensPerBatch: Int { rowCount * (inputLength + targetLength) }
    /// The number of targets that a batch has room for.
    public var targetsPerBatch: Int { rowCount * targetLength }
    /// The number of batches that hand out the whole text once.
    public var batchesPerEpoch: Double { Double(walk.windowCount) / Double(rowCount) }

    /// The place in the text.
    public var state: BatchSourceState {
        BatchSourceState(
            kind: objective.identity, fingerprint: stream.fingerprint, tokenCount: stream.tokenCount,
            rowCount: rowCount, length: pieceLength, seed: seed, epoch: epoch, index: walk.index, rows: [])
    }

    /// Goes to a saved place; throws `TextError.stateMismatch` if it belongs to other data or settings.
    public mutating func restore(_ state: BatchSourceState) throws {
        try state.check(belongsWith: self.state)
        try walk.restore(state, name: "piece")
    }

    /// The next batch; throws `TextError` if a token of the data is damaged.
    public mutating func next() throws -> TextToTextBatch {
        let start = self
        do {
            return TextToTextBatch(try (0..<rowCount).map { _ in try nextExample() })
        } catch {
            // A failed call leaves the place unchanged.
            self = start
            throw error
        }
    }

    /// Batches of another text, from its start, each piece once and always made into the same example.
    ///
    /// For measurements, at most `limit` batches. Pieces are as long as these or, where the text is shorter, as long as
    /// the text; the last batch may have fewer rows.
    public func evaluationBatches(of text: TokenStream, limit: Int = .max) -> [() throws -> TextToTextBatch] {
        let count = text.tokenCount
        let (objective, length, rowCount, seed) = (objective, pieceLength, rowCount, seed)
        // A last piece of one token is no example.
        let pieceCount = count / length + (count % length > 1 ? 1 : 0)
        return stride(from: 0, to: pieceCount, by: rowCount).prefix(max(0, limit)).map { first in
            {
                let pieces = first..<min(first + rowCount, pieceCount)
                return TextToTextBatch(
                    try pieces.map { piece in
                        var generator = SeededGenerator(seed: seed, stream: UInt64(piece) &+ 1)
                        let start = piece * length
                        return try objective.example(
                            text.tokens(in: start..<min(start + length, count)), using: &generator)
                    })
            }
        }
    }

    private mutating func nextExample() throws -> TokenPair {
        let (piece, phase) = (walk.window, walk.phase)
        // Numbers that no other piece of no other epoch draws.
        var generator = SeededGenerator(
            seed: seed ^ 0x7370_616E,
            stream: UInt64(truncatingIfNeeded: epoch) << 40 &+ UInt64(walk.index) &+ 1)
        let full = piece - (phase > 1 ? 1 : 0)
        let start = full < 0 ? 0 : phase + full * pieceLength
        let end = full < 0 ? phase : min(start + pieceLength, stream.tokenCount)
        let tokens = try stream.tokens(in: start..<end)
        walk.advance()
        return try objective.example(tokens, using: &generator)
    }
}
