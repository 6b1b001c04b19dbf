import RetNetCheckpoints
import RetNetMixers
import RetNetModels
import RetNetText
import RetNetTorch

/// A model reading and writing text: a batch of rows, each with its state.
///
/// Prompts are read in pieces of bounded size, then tokens are generated one at a time at a cost that does not
/// grow. The session can be forked, put back to a snapshot, and saved at any point. Rows never influence each
/// other. A call that throws leaves the session as it was. Nothing records gradients.
public final class GenerationSession {
    /// The model.
    public let model: LanguageModel
    /// The tokenizer.
    public let tokenizer: any Tokenizer
    /// How the model is run.
    public let options: GenerationOptions
    var content: BatchState?
    var pendingTokens: [[Int32]] = []
    var continuations: [RowContinuation] = []

    /// A session that has read nothing and has no rows yet.
    ///
    /// Throws ``GenerationError`` if options are out of range or the model cannot generate.
    public init(model: LanguageModel, tokenizer: any Tokenizer, options: GenerationOptions = .init()) throws {
        try options.validate()
        for form in [.recurrent, options.prefillForm] {
            if let reason = model.unsupportedReason(for: form) {
                throw GenerationError.unsupportedForm(reason: reason)
            }
        }
        self.model = model
        self.tokenizer = tokenizer
        self.options = options
    }

    /// The number of rows; 0 before anything was read.
    public var rowCount: Int { content?.rowCount ?? 0 }

    /// The state after the absorbed tokens; nil before anything was read.
    public var state: LanguageModelState? { content?.state }

    /// Logits [B, V] after the last absorbed token of each row; nil before anything was read.
    public var logits: Tensor? { content.flatMap { $0.logitsAreKnown ? $0.logits : nil } }

    /// How many tokens each row has read and generated so far.
    public var tokenCounts: [Int] {
        guard let content else { return [] }
        return zip(content.state.positions, pendingTokens).map { $0.count + $1.count }
    }

    // MARK: Reading

    /// Reads one row of tokens, or the same tokens into every row; returns the logits [B, V] after them.
    @discardableResult
    public func prefill(_ tokens: [Int32]) throws -> Tensor {
        try prefill([[Int32]](repeating: tokens, count: max(1, rowCount)))
    }

    /// Reads tokens into every row, rows of different lengths too; returns the logits [B, V] after them.
    ///
    /// In a new session this makes the rows, with the begin token before each. A session of one row is forked
    /// when several are given. A row may be empty if it has read something before. Throws ``GenerationError``.
    @discardableResult
    public func prefill(_ rows: [[Int32]]) throws -> Tensor {
        try withoutGradients { try absorb(rows).logits }
    }

    /// Reads one more token a row by a recurrent step; returns the logits [B, V] after them.
    @discardableResult
    public func step(_ tokens: [Int32]) throws -> Tensor {
        guard rowCount > 0, tokens.count == rowCount else {
            throw GenerationError.wrongRowCount(expected: rowCount, found: tokens.count)
        }
        return try prefill(tokens.map { [$0] })
    }

    /// Reads rows and returns what they are now and how many tokens each has read in this call.
    @discardableResult
    func absorb(_ rows: [[Int32]], isCancelled: () -> Bool = { false }) throws
        -> (logits: Tensor, readCounts: [Int])
    {
        let given = try starting(rows)
        try check(given.tokens)
        let previous = given.start
        let reading = given.tokens.indices.filter { !given.tokens[$0].isEmpty }
        if let content = previous.content, !content.logitsAreKnown,
            let row = given.tokens.firstIndex(where: \.isEmpty)
        {
            throw GenerationError.emptyPrompt(row: row)
        }
        let result: BatchState
        if reading.isEmpty, let content = previous.content {
            result = content
        } else {
            let base = try previous.content?.state ?? model.initialState(batch: given.tokens.count)
            let all = reading.count == given.tokens.count
            let read = try PromptReader(model: model, options: options).read(
                reading.map { given.tokens[$0] }, from: all ? base : base.selecting(rows: reading),
                isCancelled: isCancelled)
            result = try merged(read, reading, previous.content)
        }
        var continuations = previous.continuations
        for (row, tokens) in given.tokens.enumerated() {
            // Pending tokens were remembered when they were chosen.
            continuations[row].remember(tokens.dropFirst(previous.pendingTokens[row].count))
            if !rows[row].isEmpty { continuations[row].heldBytes = [] }
        }
        content = result
        self.continuations = continuations
        pendingTokens = [[Int32]](repeating: [], count: result.rowCount)
        return (result.logits, given.tokens.map(\.count))
    }

    private func merged(_ read: BatchState, _ rows: [Int], _ previous: BatchState?) throws -> BatchState {
        guard let previous, rows.count < previous.rowCount else { return read }
        let reading = Set(rows)
        let kept = (0..<previous.rowCount).filter { !reading.contains($0) }
        return try BatchState.joined([(rows, read), (kept, try previous.selecting(kept))], of: model)
    }

    /// The rows before this call, and the tokens to read: pending ones, then those given.
    private func starting(_ rows: [[Int32]]) throws -> (start: GenerationSnapshot, tokens: [[Int32]]) {
        guard content != nil else {
            guard !rows.isEmpty else { throw GenerationError.wrongRowCount(expected: 1, found: 0) }
            let begin = options.addsBeginToken ? tokenizer.beginToken : nil
            let tokens = rows.map { row in
                guard let begin, row.first != begin else { return row }
                return [begin] + row
            }
            if let empty = tokens.firstIndex(of: []) { throw GenerationError.emptyPrompt(row: empty) }
            let start = GenerationSnapshot(
                content: nil, pendingTokens: rows.map { _ in [] },
                continuations: rows.map { _ in RowContinuation() })
            return (start, tokens)
        }
        var start = snapshot()
        if rowCount == 1, rows.count > 1 { start = try forked(start, into: rows.count) }
        guard rows.count == start.pendingTokens.count else {
            throw GenerationError.wrongRowCount(expected: rowCount, found: rows.count)
        }
        return (start, zip(start.pendingTokens, rows).map { $0 + $1 })
    }

    private func check(_ rows: [[Int32]]) throws {
        let size = model.configuration.vocabularySize
        for (row, tokens) in rows.enumerated() {
            for (index, token) in tokens.enumerated() where token < 0 || Int(token) >= size {
                throw GenerationError.tokenOutOfRange(
                    row: row, index: index, token: token, vocabularySize: size)
            }
        }
    }
}
