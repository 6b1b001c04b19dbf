/// Independent training windows in random order.
///
/// Each epoch cuts the stream at a new random phase into windows of `length` targets and returns them in a
/// new random order. Every token but the first of the stream is a target exactly once per epoch (with
/// `prependsBeginToken`, a document's `<bos>` at a window's first target is ignored). The windows at the two
/// ends of the stream may be shorter; they are padded after their end. A batch at the end of an epoch is
/// filled with windows of the next. Every row resets the state.
public struct ShuffledWindows: BatchSource {
    /// The tokens from which the windows are cut.
    public let stream: TokenStream
    /// The number of rows of a batch.
    public let rowCount: Int
    /// The number of tokens of a row.
    public let length: Int
    /// The seed of the order.
    public let seed: UInt64
    /// True if each window begins with `<bos>` in place of the token before its first target.
    public let prependsBeginToken: Bool
    private var walk: WindowWalk

    /// Creates the source at the start of epoch 0.
    ///
    /// Throws `TextError.corpusTooShort` if the stream has fewer than `length + 1` tokens, and
    /// `TextError.invalidArgument` for invalid shapes or a tokenizer without `<bos>`.
    public init(
        stream: TokenStream, rowCount: Int, length: Int, seed: UInt64, prependsBeginToken: Bool = false
    ) throws {
        try BatchBuilder.check(rowCount: rowCount, length: length)
        guard stream.tokenCount > length else {
            throw TextError.corpusTooShort(tokenCount: stream.tokenCount, neededTokenCount: length + 1)
        }
        guard !prependsBeginToken || stream.beginToken != nil else {
            throw TextError.invalidArgument(
                name: "prependsBeginToken", reason: "the tokenizer has no <bos> token; use one that has it")
        }
        self.stream = stream
        self.rowCount = rowCount
        self.length = length
        self.seed = seed
        self.prependsBeginToken = prependsBeginToken
        let tokenCount = stream.tokenCount
        walk = WindowWalk(length: length, seed: seed) { phase in
            // The first window has 1...length targets, all others follow it without gaps.
            let rest = max(0, tokenCount - 2 - phase)
            return 1 + rest / length + (rest % length == 0 ? 0 : 1)
        }
    }

    /// The number of completed passes over the data.
    public var epoch: Int { walk.epoch }

    /// The number of inputs of each batch, padding included.
    public var tokensPerBatch: Int { rowCount * length }

    /// The number of windows of the current epoch, which varies by one with the phase.
    public var windowsPerEpoch: Int { walk.windowCount }

    /// The position in the data.
    public var state: BatchSourceState {
        BatchSourceState(
            kind: prependsBeginToken ? "shuffled+begin" : "shuffled", fingerprint: stream.fingerprint,
            tokenCount: stream.tokenCount, rowCount: rowCount, length: length, seed: seed, epoch: epoch,
            index: walk.index, rows: [])
    }

    /// Moves to a saved position; throws `TextError.stateMismatch` if it belongs to other data or settings.
    public mutating func restore(_ state: BatchSourceState) throws {
        try state.check(belongsWith: self.state)
        try walk.restore(state, name: "window")
    }

    /// Returns the next batch; throws `TextError` if a token of the data is outside the vocabulary.
    public mutating func next() throws -> Batch {
        let start = self
        do {
            var builder = BatchBuilder(
                rowCount: rowCount, length: length, paddingToken: stream.paddingToken)
            for _ in 0..<rowCount { try addWindow(to: &builder) }
            return builder.batch()
        } catch {
            // A failed call leaves the position unchanged.
            self = start
            throw error
        }
    }

    private mutating func addWindow(to builder: inout BatchBuilder) throws {
        let (window, phase) = (walk.window, 1 + walk.phase)
        walk.advance()
        // Targets first..<end, so that the inputs are the tokens one position before.
        let first = window == 0 ? 1 : 1 + phase + (window - 1) * length
        let end = window == 0 ? 1 + phase : min(first + length, stream.tokenCount)
        let tokens = try stream.tokens(in: (first - 1)..<end)
        var inputs = Array(tokens.dropLast())
        var targets = Array(tokens.dropFirst())
        var starts = try stream.documentStarts(in: (first - 1)..<(end - 1)).map { $0 - (first - 1) }
        if prependsBeginToken, let beginToken = stream.beginToken, starts.first != 0 {
            inputs[0] = beginToken
            // A document start cannot be predicted from <bos> alone.
            if startsDocument(first) { targets[0] = Batch.ignoredTarget }
            starts.insert(0, at: 0)
        }
        // An ignored target is a <bos>, which has no bytes.
        builder.add(
            tokens: inputs, targets: targets, resets: true, documentStarts: starts,
            byteCount: try stream.byteCount(in: first..<end))
    }

    private func startsDocument(_ position: Int) -> Bool {
        position < stream.tokenCount && stream.starts[stream.documentIndex(at: position)] == position
    }
}
