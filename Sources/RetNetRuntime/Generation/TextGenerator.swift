import RetNetSampling
import RetNetText

/// Text after prompts: reads them, chooses tokens, and hands out text as soon as it is certain.
///
/// Rows are independent: a row's text does not depend on the others of a batch. Choices, stops and seeds are those of
/// the LibTorch engine's sessions.
public final class TextGenerator {
    /// The runner of the model.
    public let runner: ModelRunner
    /// The tokenizer of the model.
    public let tokenizer: any Tokenizer
    /// The begin token before prompts.
    public var beginToken = BeginTokenChoice.auto
    /// True if text held back at the last token is kept for the next call instead of being returned.
    ///
    /// Set it when ``saved`` will be continued: both texts together are then the text of one call.
    public var keepsUnfinishedText = false
    /// The sequences after the last call that was not cancelled while it read prompts; nil before the first.
    public private(set) var saved: SavedSequences?

    /// A generator over a runner.
    public init(_ runner: ModelRunner, tokenizer: any Tokenizer) {
        self.runner = runner
        self.tokenizer = tokenizer
    }

    /// Reads a prompt into every row and generates text after it.
    ///
    /// Rows are new, or continue those of `start`, of which one row continues as several where several prompts are given; an
    /// empty prompt then continues without more text. `onText` gets the text of each row in whole characters. When
    /// `isCancelled` returns true, all rows end. Afterwards ``saved`` has the rows. Throws `GenerationError` for values out of
    /// range, empty first prompts and other numbers of rows, ``RuntimeError``, also for weights that are not finite, and
    /// what `onText` throws.
    public func generate(
        _ prompts: [String], from start: SavedSequences? = nil, _ parameters: SamplingParameters = .init(),
        onText: (_ row: Int, _ text: String) throws -> Void = { _, _ in }, isCancelled: () -> Bool = { false }
    ) throws -> [GenerationResult] {
        try parameters.validate()
        let clock = ContinuousClock()
        let begin = clock.now
        var batch = try begun(prompts, from: start)
        guard try !prefill(&batch, isCancelled) else {
            return prompts.map { _ in GenerationResult(finishReason: .cancelled) }
        }
        let seconds = (clock.now - begin) / .seconds(1)
        let endTokens = parameters.effectiveEndTokens(tokenizer)
        let drawn = UInt64.random(in: .min ... .max)
        var generating = batch.rows.indices.map { index in
            let row = batch.rows[index]
            let seed = parameters.seed.map { $0 &+ UInt64(index) } ?? row.seed ?? (drawn &+ UInt64(index))
            return GeneratingRow(
                row, parameters, seed: seed, endTokens: endTokens,
                promptTokenCount: batch.tokens[index].count, keepsUnfinishedText: keepsUnfinishedText)
        }
        for index in generating.indices { generating[index].result.prefillSeconds = seconds }
        try runner.generate(
            &generating, &batch.states, &batch.logits, heldBytes: batch.rows.map(\.heldBytes),
            tokenizer: tokenizer, vocabularySize: tokenizer.vocabularySize, onText: onText,
            isCancelled: isCancelled)
        // As in a file, so that what follows is the same with and without one.
        for index in batch.states.indices { batch.states[index].settle() }
        saved = SavedSequences(
            states: batch.states, logits: batch.logits, rows: generating.map(\.row),
            tokenizerIdentity: tokenizer.identity, texts: start?.texts ?? [:])
        return generating.map(\.result)
    }

    // MARK: Steps

    /// Rows on their way: what each has still to read, and the logits after what it has read.
    private struct Batch {
        var states: [SequenceState]
        var rows: [SessionRow]
        var tokens: [[Int32]]
        var logits: [[Float]]
    }

    /// Returns the rows before their prompts, with the tokens of the prompts behind those that were not read yet.
    private func begun(_ prompts: [String], from start: SavedSequences?) throws -> Batch {
        guard !prompts.isEmpty else { throw GenerationError.wrongRowCount(expected: 1, found: 0) }
        guard var start else {
            var batch = Batch(states: [], rows: [], tokens: [], logits: [])
            for (index, prompt) in prompts.enumerated() {
                var row = SessionRow()
                var place = TextPlace.beginning
                let tokens = beginToken.beginning(tokenizer.encode(prompt, at: &place), tokenizer)
                guard !tokens.isEmpty else { throw GenerationError.emptyPrompt(row: index) }
                row.place = place
                row.remember(tokens)
                batch.rows.append(row)
                batch.tokens.append(tokens)
                batch.states.append(runner.model.initialState())
                batch.logits.append([])
            }
            return batch
        }
        if start.states.count == 1, prompts.count > 1 {
            start = try start.selecting([Int](repeating: 0, count: prompts.count))
        }
        guard start.states.count == prompts.count, start.rows.count == prompts.count else {
            throw GenerationError.wrongRowCount(expected: start.states.count, found: prompts.count)
        }
        var batch = Batch(
            states: start.states, rows: start.rows, tokens: [],
            logits: start.logits ?? prompts.map { _ in [] })
        for (index, prompt) in prompts.enumerated() {
            var place = batch.rows[index].place ?? .inside
            let tokens = tokenizer.encode(prompt, at: &place)
            batch.rows[index].place = place
            // Pending tokens were remembered when they were chosen.
            batch.rows[index].remember(tokens)
            batch.tokens.append(batch.rows[index].pendingTokens + tokens)
            batch.rows[index].pendingTokens = []
            if batch.tokens[index].isEmpty, batch.logits[index].isEmpty {
                throw GenerationError.emptyPrompt(row: index)
            }
            if !tokens.isEmpty { batch.rows[index].heldBytes = [] }
        }
        return batch
    }

    /// Reads the tokens of all rows piece by piece; returns true if the caller cancelled.
    private func prefill(_ batch: inout Batch, _ isCancelled: () -> Bool) throws -> Bool {
        // Pieces between which the caller may cancel; the last call has the last tokens of all rows.
        let piece = ModelRunner.pieceLength
        let reading = batch.tokens.indices.filter { !batch.tokens[$0].isEmpty }
        guard !reading.isEmpty else { return false }
        // An array may not hold a state while it is read on, or reading would copy it.
        var states = batch.states
        batch.states = []
        for index in reading {
            let tokens = batch.tokens[index]
            var begin = 0
            while tokens.count - begin > piece {
                if isCancelled() { return true }
                var state = [states[index]]
                states[index] = runner.model.initialState()
                try runner.read([Array(tokens[begin..<begin + piece])], &state, logits: .none)
                states[index] = state[0]
                begin += piece
            }
        }
        var last = reading.map { states[$0] }
        for index in reading { states[index] = runner.model.initialState() }
        let rest = reading.map { Array(batch.tokens[$0].suffix((batch.tokens[$0].count - 1) % piece + 1)) }
        let logits = try runner.read(rest, &last, logits: .last)
        for (place, index) in reading.enumerated() {
            states[index] = last[place]
            batch.logits[index] = logits.map { Array($0[place]) } ?? []
        }
        batch.states = states
        return false
    }
}
