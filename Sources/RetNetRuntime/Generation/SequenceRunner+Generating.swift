import RetNetSampling
import RetNetText

extension SequenceRunner {
    /// Generates all rows to their ends, a token of each at a time.
    ///
    /// `states` and `logits` are those behind what each row has read, before and after the call; the last token of a text is not
    /// read. `heldBytes` are bytes of each row's text that an earlier call held back. Tokens below `vocabularySize` may be chosen.
    /// Throws `GenerationError` and
    /// ``RuntimeError``, also for weights that are not finite, and what `onText` throws.
    func generate(
        _ rows: inout [GeneratingRow], _ states: inout [SequenceState], _ logits: inout [[Float]],
        heldBytes: [[UInt8]], tokenizer: any Tokenizer, vocabularySize: Int,
        onText: (_ row: Int, _ text: String) throws -> Void, isCancelled: () -> Bool
    ) throws {
        let clock = ContinuousClock()
        let start = clock.now
        var active = Array(rows.indices)
        var running = states
        var finished = [SequenceState?](repeating: nil, count: active.count)
        // An array may not hold a state while it is read on, or reading would copy it.
        states = []
        /// Those of the rows that are generating, in their order; nil before the first step.
        var stepped: Logits?
        var next: [Int32] = []
        func emit(_ text: String, _ row: Int) throws { if !text.isEmpty { try onText(row, text) } }
        func choose(_ row: inout GeneratingRow, _ logits: UnsafeBufferPointer<Float>) -> String? {
            row.advance(
                UnsafeBufferPointer(rebasing: logits.prefix(vocabularySize)), tokenizer: tokenizer)
        }
        for index in active { try emit(rows[index].begin(heldBytes: heldBytes[index]), index) }
        while !active.isEmpty {
            let mayChoose = !isCancelled()
            for (place, index) in active.enumerated() where !rows[index].isFinished {
                guard mayChoose else {
                    try emit(rows[index].finish(.cancelled), index)
                    continue
                }
                let text =
                    if let stepped {
                        choose(&rows[index], stepped[place])
                    } else {
                        logits[index].withUnsafeBufferPointer { choose(&rows[index], $0) }
                    }
                guard let text else { throw notFinite(row: index) }
                try emit(text, index)
            }
            for place in active.indices.reversed() where rows[active[place]].isFinished {
                let index = active[place]
                rows[index].result.decodeSeconds = (clock.now - start) / .seconds(1)
                if let stepped { logits[index] = Array(stepped[place]) }
                finished[index] = running.remove(at: place)
            }
            active.removeAll { rows[$0].isFinished }
            guard !active.isEmpty else { break }
            next.removeAll(keepingCapacity: true)
            for index in active {
                next.append(rows[index].row.pendingTokens[0])
                rows[index].row.pendingTokens.removeAll(keepingCapacity: true)
            }
            stepped = try step(next, &running)
        }
        states = finished.compactMap { $0 }
    }

    /// The reason why logits are not finite: damaged weights by their name, or the row.
    private func notFinite(row: Int) -> any Error {
        do {
            try passModel.verify()
            return GenerationError.logitsNotFinite(row: row)
        } catch { return error }
    }
}
