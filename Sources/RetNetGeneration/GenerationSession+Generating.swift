import RetNetLayers
import RetNetModels
import RetNetSampling
import RetNetText
import RetNetTorch

extension GenerationSession {
    /// Reads a prompt into every row and generates text after it.
    ///
    /// A new session gets one row per prompt; later prompts continue what each row has read, and have the tokens that they
    /// have there, unless one spans the joint (see `TextPlace`). An empty prompt continues without more text. `onText` gets the text of each row as soon as it is certain, in whole
    /// characters. When `isCancelled` returns true, all rows end and the session keeps what was generated; while
    /// prompts are read, the session stays as it was before. A row that ended leaves the batch, and the state after
    /// its end is kept. The state has read a stop string that ended a text, because states cannot be rewound.
    ///
    /// Throws `GenerationError` for values out of range, empty first prompts and logits that are not finite,
    /// and what `onText` throws; the session is then as it was after reading the prompts.
    public func generate(
        _ prompts: [String], _ parameters: SamplingParameters = .init(),
        onText: (_ row: Int, _ text: String) throws -> Void = { _, _ in },
        isCancelled: () -> Bool = { false }
    ) throws -> [GenerationResult] {
        // One row continues in as many as there are prompts; otherwise the counts agree or are refused below.
        var places = prompts.indices.map { index in
            let row = current.rows.count == 1 ? 0 : index
            return current.rows.indices.contains(row) ? current.rows[row].place ?? .inside : .beginning
        }
        let tokens = prompts.indices.map { tokenizer.encode(prompts[$0], at: &places[$0]) }
        return try generate(tokens, places: places, parameters, onText, isCancelled)
    }

    /// Reads a prompt of tokens into every row and generates text after it, as for prompts of text.
    public func generate(
        tokens prompts: [[Int32]], _ parameters: SamplingParameters = .init(),
        onText: (_ row: Int, _ text: String) throws -> Void = { _, _ in },
        isCancelled: () -> Bool = { false }
    ) throws -> [GenerationResult] {
        try generate(prompts, places: nil, parameters, onText, isCancelled)
    }

    private func generate(
        _ prompts: [[Int32]], places: [TextPlace]?, _ parameters: SamplingParameters,
        _ onText: (_ row: Int, _ text: String) throws -> Void, _ isCancelled: () -> Bool
    ) throws -> [GenerationResult] {
        try parameters.validate()
        return try withoutGradients {
            let clock = ContinuousClock()
            let start = clock.now
            let readCounts: [Int]
            do {
                readCounts = try read(prompts, places: places, isCancelled: isCancelled).readCounts
            } catch is PromptReader.Cancelled {
                return prompts.map { _ in GenerationResult(finishReason: .cancelled) }
            }
            let prefillSeconds = (clock.now - start).seconds
            var rows = generatingRows(parameters, readCounts)
            for index in rows.indices { rows[index].result.prefillSeconds = prefillSeconds }
            return try decode(&rows, clock, onText, isCancelled).map(\.result)
        }
    }

    private func generatingRows(_ parameters: SamplingParameters, _ readCounts: [Int]) -> [GeneratingRow] {
        let endTokens = parameters.effectiveEndTokens(tokenizer)
        let drawn = UInt64.random(in: .min ... .max)
        return current.rows.enumerated().map { index, row in
            let wanted = parameters.seed.map { $0 &+ UInt64(index) }
            return GeneratingRow(
                row, parameters, seed: wanted ?? row.seed ?? (drawn &+ UInt64(index)), endTokens: endTokens,
                promptTokenCount: readCounts[index], keepsUnfinishedText: options.keepsUnfinishedText)
        }
    }

    /// Generates until all rows have ended, then makes them the session's.
    private func decode(
        _ rows: inout [GeneratingRow], _ clock: ContinuousClock, _ onText: (Int, String) throws -> Void,
        _ isCancelled: () -> Bool
    ) throws -> [GeneratingRow] {
        guard var batch = current.content else { return rows }
        let start = clock.now
        var active = Array(rows.indices)
        var parts: [(rows: [Int], content: BatchState)] = []
        for index in active {
            try emit(rows[index].begin(heldBytes: current.rows[index].heldBytes), index, onText)
        }
        var mayChoose = true
        // The first step starts from the session's state, which must stay; later ones from states that only they use.
        var context = ForwardContext.inference
        var recorder = StepRecorder(model, options.recording)
        while true {
            if mayChoose, isCancelled() { mayChoose = false }
            for index in active where !mayChoose && !rows[index].isFinished {
                try emit(rows[index].finish(.cancelled), index, onText)
            }
            if mayChoose { try choose(&rows, active, batch, onText) }
            let ended = active.indices.filter { rows[active[$0]].isFinished }
            if !ended.isEmpty {
                for place in ended { rows[active[place]].result.decodeSeconds = (clock.now - start).seconds }
                parts.append((ended.map { active[$0] }, try batch.selecting(ended)))
                let going = active.indices.filter { !rows[active[$0]].isFinished }
                active = going.map { active[$0] }
                guard !active.isEmpty else { break }
                batch = try batch.selecting(going)
                recorder.reset()
            }
            let tokens = active.map { rows[$0].row.pendingTokens[0] }
            if let recorded = try recorder.step(tokens, from: batch.state) {
                batch = BatchState(
                    state: recorded.state, logits: try recorded.logits.to(model.computeType.accumulator))
            } else {
                batch = try advanced(batch, tokens, context)
            }
            context.overwritesStates = true
            for index in active { rows[index].row.pendingTokens = [] }
        }
        current = GenerationSnapshot(
            content: try BatchState.joined(parts, of: model), rows: rows.map(\.row))
        return rows
    }

    private func choose(
        _ rows: inout [GeneratingRow], _ active: [Int], _ batch: BatchState,
        _ onText: (Int, String) throws -> Void
    ) throws {
        let size = model.configuration.vocabularySize
        let usable = min(size, tokenizer.vocabularySize)
        // Not every device has float64.
        let logits = try batch.logits.to(on: .cpu).doubles()
        for (place, index) in active.enumerated() where !rows[index].isFinished {
            let values = logits[place * size..<place * size + usable]
            guard let text = rows[index].advance(values, tokenizer: tokenizer) else {
                throw GenerationError.logitsNotFinite(row: index)
            }
            try emit(text, index, onText)
        }
    }

    /// Returns the rows after one recurrent step.
    private func advanced(_ batch: BatchState, _ tokens: [Int32], _ context: ForwardContext) throws
        -> BatchState
    {
        let input = try Tensor.from(tokens.map(Int64.init), [tokens.count, 1]).to(on: model.device)
        let (logits, state) = try model(input, state: batch.state, form: .recurrent, context: context)
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
