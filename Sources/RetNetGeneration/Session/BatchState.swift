import RetNetModels
import RetNetTorch

/// The state of some rows and the logits [B, V] after their last tokens.
struct BatchState {
    var state: LanguageModelState
    var logits: Tensor
    /// False for a state that was saved without logits, whose place zeros take.
    var logitsAreKnown = true

    var rowCount: Int { state.batchSize }

    func selecting(_ rows: [Int]) throws -> BatchState {
        if rows == Array(0..<rowCount) { return self }
        let indices = try Tensor.from(rows.map(Int64.init), on: logits.device)
        return BatchState(
            state: try state.selecting(rows: rows), logits: try logits.indexSelected(0, indices),
            logitsAreKnown: logitsAreKnown)
    }

    /// Rows from several parts; `rows` says for each part which places in the result its rows take.
    static func joined(_ parts: [(rows: [Int], content: BatchState)], of model: LanguageModel) throws
        -> BatchState
    {
        let order = parts.flatMap(\.rows)
        let whole = BatchState(
            state: try model.joined(parts.map(\.content.state)),
            logits: try Tensor.concatenated(parts.map(\.content.logits), axis: 0))
        var places = [Int](repeating: 0, count: order.count)
        for (place, row) in order.enumerated() { places[row] = place }
        return try whole.selecting(places)
    }
}
