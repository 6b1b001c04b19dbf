import RetNetMixers
import RetNetModels
import RetNetTorch

/// Reads tokens into the states of rows, piece by piece, rows of different lengths without padding.
///
/// All rows that have tokens left go through the model together for as many tokens as the shortest of them
/// has; then that one leaves the batch. So nothing but a row's own tokens ever enters its state.
struct PromptReader {
    let model: LanguageModel
    let options: GenerationOptions

    /// The caller's wish to stop, found between two pieces.
    struct Cancelled: Error {}

    /// The rows after their tokens, none of which may be empty; `state` is that before them.
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
