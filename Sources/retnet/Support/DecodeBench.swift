import RetNetMixers
import RetNetModels
import RetNetReporting
import RetNetTorch

/// Measures single steps of generation at several positions in turn.
struct DecodeBench {
    /// What was measured at one position.
    struct Result {
        let position: Int
        var timings = Timings()
        /// Bytes of the state of the whole batch.
        let stateByteCount: Int
    }

    let model: LanguageModel
    let batch: Int

    /// Times so many tokens at every position, after a few that are not timed.
    func run(positions: [Int], tokenCount: Int, warmup: Int) throws -> [Result] {
        try withoutGradients {
            var states = try positions.map(state(at:))
            var results = zip(positions, states).map { Result(position: $0, stateByteCount: $1.byteCount) }
            let size = model.configuration.vocabularySize
            for step in 0..<(warmup + tokenCount) {
                let ids = (0..<batch).map { Int64((step * 31 + $0 * 7) % size) }
                let token = try Tensor.from(ids, [batch, 1], on: model.device)
                for index in states.indices {
                    let state = states[index]
                    var next: LanguageModelState?
                    let work = {
                        let (logits, after) = try model(token, state: state, form: .recurrent, lastOnly: true)
                        // The next token depends on the logits, so generation waits for them.
                        _ = try logits.argmax(axis: -1).to(on: .cpu)
                        next = after
                    }
                    if step < warmup { try work() } else { try results[index].timings.time(work) }
                    if let next { states[index] = next }
                }
            }
            return results
        }
    }

    /// A state with some text in it that is declared to stand at a position.
    private func state(at position: Int) throws -> LanguageModelState {
        let initial = try model.initialState(batch: batch)
        let length = min(position, 128)
        guard length > 0 else { return initial }
        let ids = (0..<(batch * length)).map { Int64($0 % model.configuration.vocabularySize) }
        let tokens = try Tensor.from(ids, [batch, length], on: model.device)
        var state = try model(tokens, state: initial, form: .chunkwise(64), lastOnly: true).state
        state = try state.grown(to: position)
        for row in state.positions.indices {
            state.positions[row] = SequencePosition(position: position, count: position)
        }
        return state
    }

    /// The results as a table for people.
    static func table(_ results: [Result]) -> String {
        var table = TextTable(
            header: ["position", "ms per token", "fastest to slowest", "state"],
            alignments: [.right, .right, .right, .right])
        for result in results {
            let times = result.timings
            table.append([
                Format.grouped(result.position), Format.fixed(times.median * 1000, decimals: 3),
                "\(Format.fixed(times.minimum * 1000, decimals: 3)) to"
                    + " \(Format.fixed(times.maximum * 1000, decimals: 3))",
                Format.bytes(result.stateByteCount),
            ])
        }
        return table.text()
    }
}
