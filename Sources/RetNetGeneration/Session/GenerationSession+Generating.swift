import RetNetModels
import RetNetText
import RetNetTorch

extension GenerationSession {
    /// Reads a prompt into every row and generates text after it.
    ///
    /// A new session gets one row a prompt; later prompts go on from what each row has read. An empty prompt
    /// goes on without more text. `onText` gets the text of each row as soon as it is certain, in whole
    /// characters. When `isCancelled` says so, all rows end and the session keeps what was generated; during
    /// reading it keeps what it was before. A row that ended leaves the batch, and the state after its end is
    /// kept. The state has seen a stop string that ended a text, because states cannot go back.
    ///
    /// Throws ``GenerationError`` for values out of range, empty first prompts and logits that are not finite,
    /// and what `onText` throws; the session is then as it was after reading the prompts.
    public func generate(
        _ prompts: [String], _ parameters: SamplingParameters = .init(),
        onText: (_ row: Int, _ text: String) throws -> Void = { _, _ in },
        isCancelled: () -> Bool = { false }
    ) throws -> [GenerationResult] {
        try generate(
            tokens: prompts.map { tokenizer.encode($0) }, parameters, onText: onText, isCancelled: isCancelled
        )
    }

    /// The same for prompts that are tokens already.
    public func generate(
        tokens prompts: [[Int32]], _ parameters: SamplingParameters = .init(),
        onText: (_ row: Int, _ text: String) throws -> Void = { _, _ in },
        isCancelled: () -> Bool = { false }
    ) throws -> [GenerationResult] {
        try parameters.validate()
        return try withoutGradients {
            let clock = ContinuousClock()
            let start = clock.now
            let readCounts: [Int]
            do {
                readCounts = try absorb(prompts, isCancelled: isCancelled).readCounts
            } catch is PromptReader.Cancelled {
                return prompts.map { _ in GenerationResult(finishReason: .cancelled) }
            }
            let prefillSeconds = (clock.now - start).seconds
            var runs = makeRuns(parameters, readCounts)
            for index in runs.indices { runs[index].result.prefillSeconds = prefillSeconds }
            return try decode(&runs, clock, onText, isCancelled).map(\.result)
        }
    }

    private func makeRuns(_ parameters: SamplingParameters, _ readCounts: [Int]) -> [RowRun] {
        let endTokens: Set<Int32> =
            parameters.stopsAtEndToken
            ? Set(parameters.endTokens ?? tokenizer.endToken.map { [$0] } ?? []) : []
        let drawn = UInt64.random(in: .min ... .max)
        return continuations.enumerated().map { row, continuation in
            let wanted = parameters.seed.map { $0 &+ UInt64(row) }
            return RowRun(
                row: row, continuation, parameters,
                seed: wanted ?? continuation.seed ?? (drawn &+ UInt64(row)), endTokens: endTokens,
                promptTokenCount: readCounts[row], keepsUnfinishedText: options.keepsUnfinishedText)
        }
    }

    /// Generates until all rows have ended, then makes what they have become the session's.
    private func decode(
        _ runs: inout [RowRun], _ clock: ContinuousClock, _ onText: (Int, String) throws -> Void,
        _ isCancelled: () -> Bool
    ) throws -> [RowRun] {
        guard var current = content else { return runs }
        let start = clock.now
        var active = Array(runs.indices)
        var parts: [(rows: [Int], content: BatchState)] = []
        for row in active {
            try emit(runs[row].begin(heldBytes: continuations[row].heldBytes), row, onText)
        }
        // The rows that have a token chosen that the model has not read.
        var pending = [[Int32]](repeating: [], count: runs.count)
        var mayChoose = true
        while true {
            if mayChoose, isCancelled() { mayChoose = false }
            for row in active where !mayChoose && !runs[row].isFinished {
                try emit(runs[row].finish(.cancelled), row, onText)
            }
            if mayChoose { try choose(&runs, active, current, &pending, onText) }
            let ended = active.indices.filter { runs[active[$0]].isFinished }
            if !ended.isEmpty {
                for place in ended { runs[active[place]].result.decodeSeconds = (clock.now - start).seconds }
                parts.append((ended.map { active[$0] }, try current.selecting(ended)))
                let going = active.indices.filter { !runs[active[$0]].isFinished }
                active = going.map { active[$0] }
                guard !active.isEmpty else { break }
                current = try current.selecting(going)
            }
            current = try advanced(current, active.map { pending[$0][0] })
            for row in active { pending[row] = [] }
        }
        content = try BatchState.joined(parts, of: model)
        pendingTokens = pending
        continuations = runs.map(\.continuation)
        return runs
    }

    private func choose(
        _ runs: inout [RowRun], _ active: [Int], _ current: BatchState, _ pending: inout [[Int32]],
        _ onText: (Int, String) throws -> Void
    ) throws {
        let size = model.configuration.vocabularySize
        let usable = min(size, tokenizer.vocabularySize)
        // Not every device has float64.
        let logits = try current.logits.to(on: .cpu).doubles()
        for (place, row) in active.enumerated() where !runs[row].isFinished {
            let values = logits[place * size..<place * size + usable]
            guard let text = runs[row].advance(values, tokenizer: tokenizer) else {
                throw GenerationError.logitsNotFinite(row: row)
            }
            pending[row] = runs[row].result.tokens.suffix(1)
            try emit(text, row, onText)
        }
    }

    /// One recurrent step of the rows that go on.
    private func advanced(_ current: BatchState, _ tokens: [Int32]) throws -> BatchState {
        let batch = try Tensor.from(tokens.map(Int64.init), [tokens.count, 1]).to(on: model.device)
        let (logits, state) = try model(batch, state: current.state, form: .recurrent)
        return BatchState(
            state: state, logits: try logits.squeezed(1).to(model.computeType.accumulator))
    }

    private func emit(_ text: String, _ row: Int, _ onText: (Int, String) throws -> Void) throws {
        if !text.isEmpty { try onText(row, text) }
    }
}

extension Duration {
    fileprivate var seconds: Double {
        Double(components.seconds) + Double(components.attoseconds) * 1e-18
    }
}
