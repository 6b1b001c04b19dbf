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

    private var states: [SequenceState] = []
    private var rows: [SessionRow] = []

    /// A generator over a runner.
    public init(_ runner: ModelRunner, tokenizer: any Tokenizer) {
        self.runner = runner
        self.tokenizer = tokenizer
    }

    /// The states after the last call, one per row.
    public var finalStates: [SequenceState] { states }

    /// Reads a prompt into every row and generates text after it.
    ///
    /// `onText` gets the text of each row in whole characters. When `isCancelled` returns true, all rows end. Throws
    /// `GenerationError` for values out of range, empty prompts and logits that are not finite, ``RuntimeError``, and what
    /// `onText` throws.
    public func generate(
        _ prompts: [String], _ parameters: SamplingParameters = .init(),
        onText: (_ row: Int, _ text: String) throws -> Void = { _, _ in }, isCancelled: () -> Bool = { false }
    ) throws -> [GenerationResult] {
        try parameters.validate()
        let clock = ContinuousClock()
        let start = clock.now
        let tokens = try read(prompts)
        guard try !prefill(tokens, isCancelled) else {
            return prompts.map { _ in GenerationResult(finishReason: .cancelled) }
        }
        let seconds = (clock.now - start) / .seconds(1)
        let endTokens = parameters.effectiveEndTokens(tokenizer)
        let drawn = parameters.seed ?? UInt64.random(in: .min ... .max)
        var generating = rows.indices.map { index in
            GeneratingRow(
                rows[index], parameters, seed: drawn &+ UInt64(index), endTokens: endTokens,
                promptTokenCount: tokens[index].count, keepsUnfinishedText: false)
        }
        for index in generating.indices { generating[index].result.prefillSeconds = seconds }
        try decode(&generating, clock, onText, isCancelled)
        return generating.map(\.result)
    }

    // MARK: Steps

    /// Logits of the rows that are generating, in their order.
    private var logits: Logits?

    /// Returns the tokens of prompts, and makes a row of each.
    private func read(_ prompts: [String]) throws -> [[Int32]] {
        rows = []
        return try prompts.enumerated().map { index, prompt in
            var row = SessionRow()
            var place = TextPlace.beginning
            let tokens = beginToken.beginning(tokenizer.encode(prompt, at: &place), tokenizer)
            guard !tokens.isEmpty else { throw GenerationError.emptyPrompt(row: index) }
            row.place = place
            row.remember(tokens)
            rows.append(row)
            return tokens
        }
    }

    /// Reads the prompts piece by piece; returns true if the caller cancelled.
    private func prefill(_ tokens: [[Int32]], _ isCancelled: () -> Bool) throws -> Bool {
        states = tokens.map { _ in runner.model.initialState() }
        // Pieces between which the caller may cancel; the last call has the last tokens of all rows.
        let piece = ModelRunner.pieceLength
        for (index, row) in tokens.enumerated() {
            var begin = 0
            while row.count - begin > piece {
                if isCancelled() { return true }
                var state = [states[index]]
                // The array must not hold the state meanwhile, or reading would copy it.
                states[index] = runner.model.initialState()
                try runner.read([Array(row[begin..<begin + piece])], &state, logits: .none)
                states[index] = state[0]
                begin += piece
            }
        }
        let rest = tokens.map { Array($0.suffix(($0.count - 1) % piece + 1)) }
        logits = try runner.read(rest, &states, logits: .last)
        return false
    }

    private func decode(
        _ generating: inout [GeneratingRow], _ clock: ContinuousClock,
        _ onText: (_ row: Int, _ text: String) throws -> Void, _ isCancelled: () -> Bool
    ) throws {
        let start = clock.now
        var active = Array(generating.indices)
        var running = states
        states = []
        var finished = [SequenceState?](repeating: nil, count: active.count)
        var next: [Int32] = []
        func emit(_ text: String, _ row: Int) throws { if !text.isEmpty { try onText(row, text) } }
        for index in active { try emit(generating[index].begin(heldBytes: []), index) }
        while !active.isEmpty {
            let mayChoose = !isCancelled()
            for (place, index) in active.enumerated() where !generating[index].isFinished {
                guard mayChoose, let logits else {
                    try emit(generating[index].finish(.cancelled), index)
                    continue
                }
                let usable = UnsafeBufferPointer(
                    rebasing: logits[place].prefix(tokenizer.vocabularySize))
                guard let text = generating[index].advance(usable, tokenizer: tokenizer) else {
                    throw GenerationError.logitsNotFinite(row: index)
                }
                try emit(text, index)
            }
            for place in active.indices.reversed() where generating[active[place]].isFinished {
                generating[active[place]].result.decodeSeconds = (clock.now - start) / .seconds(1)
                finished[active[place]] = running.remove(at: place)
                active.remove(at: place)
            }
            guard !active.isEmpty else { break }
            next.removeAll(keepingCapacity: true)
            for index in active {
                next.append(generating[index].row.pendingTokens[0])
                generating[index].row.pendingTokens.removeAll(keepingCapacity: true)
            }
            logits = try runner.step(next, &running)
        }
        states = finished.compactMap { $0 }
        rows = generating.map(\.row)
    }
}
