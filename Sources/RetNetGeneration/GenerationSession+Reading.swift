import RetNetMixers
import RetNetModels
import RetNetSampling
import RetNetText
import RetNetTorch

extension GenerationSession {
    /// Reads one row of tokens, or the same tokens into every row; returns the logits [B, V] after them.
    @discardableResult
    public func prefill(_ tokens: [Int32]) throws -> Tensor {
        try prefill([[Int32]](repeating: tokens, count: max(1, rowCount)))
    }

    /// Reads tokens into every row, also of different lengths; returns the logits [B, V] after them.
    ///
    /// A new session gets its rows here, each with the tokens before it that `beginToken` of the options asks for. A session
    /// of one row is forked when several are given. A row may be empty if it has read something before, or if the tokenizer
    /// has a begin token. Throws `GenerationError`.
    @discardableResult
    public func prefill(_ rows: [[Int32]]) throws -> Tensor {
        try withoutGradients { try read(rows).logits }
    }

    /// Reads one more token per row by a recurrent step; returns the logits [B, V] after them.
    @discardableResult
    public func step(_ tokens: [Int32]) throws -> Tensor {
        guard rowCount > 0, tokens.count == rowCount else {
            throw GenerationError.wrongRowCount(expected: rowCount, found: tokens.count)
        }
        return try prefill(tokens.map { [$0] })
    }

    /// Reads rows; returns the logits after them and the number of tokens that each row has read in this call.
    ///
    /// `places` are those in the text behind the rows, by default those that their tokens lead to.
    @discardableResult
    func read(_ rows: [[Int32]], places: [TextPlace]? = nil, isCancelled: () -> Bool = { false }) throws
        -> (logits: Tensor, readCounts: [Int])
    {
        var (next, tokens) = try starting(rows)
        try check(tokens)
        let reading = tokens.indices.filter { !tokens[$0].isEmpty }
        if let content = next.content, !content.logitsAreKnown,
            let row = tokens.firstIndex(where: \.isEmpty)
        {
            throw GenerationError.emptyPrompt(row: row)
        }
        let result: BatchState
        if reading.isEmpty, let content = next.content {
            result = content
        } else {
            let base = try next.content?.state ?? model.initialState(batch: tokens.count)
            let all = reading.count == tokens.count
            let part = try PromptReader(model: model, options: options).read(
                reading.map { tokens[$0] }, from: all ? base : base.selecting(rows: reading),
                isCancelled: isCancelled)
            result = try merged(part, reading, next.content)
        }
        for row in tokens.indices {
            // Pending tokens were remembered when they were chosen.
            next.rows[row].remember(tokens[row].dropFirst(next.rows[row].pendingTokens.count))
            next.rows[row].pendingTokens = []
            next.rows[row].place =
                places?[row] ?? tokenizer.place(after: rows[row], from: next.rows[row].place ?? .inside)
            if !rows[row].isEmpty { next.rows[row].heldBytes = [] }
        }
        next.content = result
        current = next
        return (result.logits, tokens.map(\.count))
    }

    private func merged(_ read: BatchState, _ rows: [Int], _ previous: BatchState?) throws -> BatchState {
        guard let previous, rows.count < previous.rowCount else { return read }
        let reading = Set(rows)
        let kept = (0..<previous.rowCount).filter { !reading.contains($0) }
        return try BatchState.joined([(rows, read), (kept, try previous.selecting(kept))], of: model)
    }

    /// Returns the rows before this call, and the tokens to read: pending ones, then those given.
    private func starting(_ rows: [[Int32]]) throws -> (start: GenerationSnapshot, tokens: [[Int32]]) {
        guard current.content != nil else {
            guard !rows.isEmpty else { throw GenerationError.wrongRowCount(expected: 1, found: 0) }
            let tokens = rows.map { options.beginToken.beginning($0, tokenizer) }
            if let empty = tokens.firstIndex(of: []) { throw GenerationError.emptyPrompt(row: empty) }
            return (GenerationSnapshot(rows: rows.map { _ in SessionRow() }), tokens)
        }
        var start = current
        if rowCount == 1, rows.count > 1 {
            start = try start.selecting([Int](repeating: 0, count: rows.count))
        }
        guard rows.count == start.rows.count else {
            throw GenerationError.wrongRowCount(expected: rowCount, found: rows.count)
        }
        return (start, zip(start.rows, rows).map { $0.pendingTokens + $1 })
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

/// The reading of tokens into the states of rows, piece by piece, without padding.
///
/// All rows that have tokens left go through the model together for as many tokens as the shortest of them
/// has; then that one leaves the batch. So nothing but a row's own tokens ever enters its state.
struct PromptReader {
    let model: LanguageModel
    let options: GenerationOptions

    /// A cancellation by the caller, noticed between two pieces.
    struct Cancelled: Error {}

    /// Returns the rows after their tokens, none of which may be empty; `state` is that before them.
    func read(
        _ tokens: [[Int32]], from state: LanguageModelState, isCancelled: () -> Bool = { false }
    ) throws -> BatchState {
        var active = Array(tokens.indices)
        var state = state
        var start = 0
        var parts: [(rows: [Int], content: BatchState)] = []
        while !active.isEmpty {
            if isCancelled() { throw Cancelled() }
            let shortest = active.reduce(Int.max) { min($0, tokens[$1].count - start) }
            let length = min(shortest, options.prefillPieceLength)
            let pieces = active.map { tokens[$0][start..<start + length] }
            let (hidden, next) = try run(pieces, length: length, state)
            start += length
            let ended = active.indices.filter { tokens[active[$0]].count == start }
            let going = active.indices.filter { tokens[active[$0]].count > start }
            if !ended.isEmpty {
                parts.append((ended.map { active[$0] }, try finished(ended, hidden, next)))
            }
            state = ended.isEmpty || going.isEmpty ? next : try next.selecting(rows: going)
            active = going.map { active[$0] }
        }
        return try BatchState.joined(parts, of: model)
    }

    private func run(_ pieces: [ArraySlice<Int32>], length: Int, _ state: LanguageModelState) throws
        -> (hidden: Tensor, state: LanguageModelState)
    {
        let batch = try Tensor.from(pieces.flatMap { $0.map(Int64.init) }, [pieces.count, length])
        return try model.hidden(
            batch.to(on: model.device), state: state, form: length == 1 ? .recurrent : options.prefillForm)
    }

    private func finished(_ rows: [Int], _ hidden: Tensor, _ state: LanguageModelState) throws -> BatchState {
        let last = try hidden.selected(1, hidden.size(1) - 1)
        let all = BatchState(state: state, logits: last)
        var selected = try all.selecting(rows)
        selected.logits = try model.logits(selected.logits).to(model.computeType.accumulator)
        return selected
    }
}
