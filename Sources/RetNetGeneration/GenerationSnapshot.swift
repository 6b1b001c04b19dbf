import Foundation
import RetNetCheckpoints
import RetNetModels
import RetNetSampling
import RetNetText
import RetNetTorch

/// A session at one moment: a value that later calls of the session do not change.
public struct GenerationSnapshot {
    /// The state and logits of all rows; nil before anything was read.
    var content: BatchState?
    /// The rest of each row.
    var rows: [SessionRow] = []

    /// Bytes of the states kept.
    public var byteCount: Int { content?.state.byteCount ?? 0 }

    /// Returns the given rows in their order; further copies of a row draw from other streams of random numbers.
    func selecting(_ indices: [Int]) throws -> GenerationSnapshot {
        GenerationSnapshot(
            content: try content?.selecting(indices), rows: SessionRow.selected(indices, of: rows))
    }
}

/// The state of some rows and the logits [B, V] after their last tokens.
struct BatchState {
    var state: LanguageModelState
    var logits: Tensor
    /// False for a state that was saved without logits, which zeros replace.
    var logitsAreKnown = true

    var rowCount: Int { state.batchSize }

    func selecting(_ rows: [Int]) throws -> BatchState {
        if rows == Array(0..<rowCount) { return self }
        let indices = try Tensor.from(rows.map(Int64.init), on: logits.device)
        return BatchState(
            state: try state.selecting(rows: rows), logits: try logits.indexSelected(0, indices),
            logitsAreKnown: logitsAreKnown)
    }

    /// Returns the rows of several parts; `rows` are the indices in the result of each part's rows.
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

// MARK: Saving

extension GenerationSession {
    /// Returns everything needed to resume later, for `StateFile`; nil before anything was read.
    public func savedState() throws -> SavedState? {
        guard let content = current.content else { return nil }
        return SavedState(
            state: content.state, logits: logits, pendingTokens: current.rows.map(\.pendingTokens),
            tokenizerIdentity: tokenizer.identity, metadata: try SessionRow.texts(of: current.rows))
    }

    /// Returns the metadata of a state after rows of tokens that no session has read.
    ///
    /// A session that resumes it knows the last tokens of each row, so also whether a text begins there.
    public static func metadata(afterTokens rows: [[Int32]]) throws -> [String: String] {
        try SessionRow.texts(
            of: rows.map { tokens in
                var row = SessionRow()
                row.recentTokens = Array(tokens)
                row.place = nil
                return row
            })
    }

    /// Creates a session that resumes a saved one.
    ///
    /// A saved state without logits must have pending tokens or be given a prompt in every row. Throws
    /// `GenerationError.invalidSavedState(reason:)`.
    public convenience init(
        model: LanguageModel, tokenizer: any Tokenizer, resuming saved: SavedState,
        options: GenerationOptions = .init()
    ) throws {
        try self.init(model: model, tokenizer: tokenizer, options: options)
        let rowCount = saved.state.batchSize
        let rows = try SessionRow.resumed(
            texts: saved.metadata, pendingTokens: saved.pendingTokens, tokenCounts: saved.tokenCounts,
            tokenizer: tokenizer)
        let size = model.configuration.vocabularySize
        if let logits = saved.logits, logits.shape != [rowCount, size] {
            throw GenerationError.invalidSavedState(
                reason: "its logits have the shape \(logits.shape) instead of \([rowCount, size])")
        }
        let content = BatchState(
            state: saved.state,
            logits: try saved.logits
                ?? Tensor.zeros([rowCount, size], model.computeType.accumulator, on: model.device),
            logitsAreKnown: saved.logits != nil)
        current = GenerationSnapshot(content: content, rows: rows)
    }
}
