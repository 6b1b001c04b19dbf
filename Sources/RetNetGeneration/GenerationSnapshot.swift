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
        var copies: [Int: UInt64] = [:]
        let selected = indices.map { index in
            let copy = copies[index, default: 0]
            copies[index] = copy + 1
            return copy == 0 ? rows[index] : rows[index].forked(stream: copy)
        }
        return GenerationSnapshot(content: try content?.selecting(indices), rows: selected)
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
    private static let rowsKey = "generation.rows"

    /// Returns everything needed to resume later, for `StateFile`; nil before anything was read.
    public func savedState() throws -> SavedState? {
        guard let content = current.content else { return nil }
        let rows = current.rows.map { row in
            var row = row
            row.recentTokens = row.recentTokens.suffix(SamplingParameters.maximumRepetitionWindow)
            return row
        }
        return SavedState(
            state: content.state, logits: logits, pendingTokens: rows.map(\.pendingTokens),
            tokenizerIdentity: tokenizer.identity, metadata: try Self.metadata(rows))
    }

    /// Returns the metadata of a state after rows of tokens that no session has read.
    ///
    /// A session that resumes it knows the last tokens of each row, so also whether a text begins there.
    public static func metadata(afterTokens rows: [[Int32]]) throws -> [String: String] {
        try metadata(
            rows.map { tokens in
                var row = SessionRow()
                row.recentTokens = tokens.suffix(SamplingParameters.maximumRepetitionWindow)
                row.place = nil
                return row
            })
    }

    private static func metadata(_ rows: [SessionRow]) throws -> [String: String] {
        [rowsKey: String(decoding: try JSONEncoder().encode(rows), as: UTF8.self)]
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
        guard rowCount > 0, saved.pendingTokens.count == rowCount else {
            throw GenerationError.invalidSavedState(
                reason: "it has \(rowCount) rows and pending tokens for \(saved.pendingTokens.count)")
        }
        var rows = [SessionRow](repeating: SessionRow(), count: rowCount)
        if let text = saved.metadata[Self.rowsKey] {
            do {
                rows = try JSONDecoder().decode([SessionRow].self, from: Data(text.utf8))
            } catch {
                throw GenerationError.invalidSavedState(
                    reason:
                        "'\(Self.rowsKey)' is not a list of rows with their recent tokens, held bytes and places"
                )
            }
            guard rows.count == rowCount else {
                throw GenerationError.invalidSavedState(
                    reason: "it has \(rowCount) rows, but '\(Self.rowsKey)' describes \(rows.count)")
            }
        }
        let size = model.configuration.vocabularySize
        if let logits = saved.logits, logits.shape != [rowCount, size] {
            throw GenerationError.invalidSavedState(
                reason: "its logits have the shape \(logits.shape) instead of \([rowCount, size])")
        }
        for index in rows.indices {
            let isRead = saved.state.positions[index].count > 0
            let known = saved.metadata[Self.rowsKey] == nil ? nil : rows[index].place
            // Without a place, as after `logits`, the last token tells all but spaces left out.
            let last = saved.pendingTokens[index].last ?? rows[index].recentTokens.last
            rows[index].place =
                known ?? tokenizer.place(after: last.map { [$0] } ?? [], from: isRead ? .inside : .beginning)
            rows[index].pendingTokens = saved.pendingTokens[index]
        }
        let content = BatchState(
            state: saved.state,
            logits: try saved.logits
                ?? Tensor.zeros([rowCount, size], model.computeType.accumulator, on: model.device),
            logitsAreKnown: saved.logits != nil)
        current = GenerationSnapshot(content: content, rows: rows)
    }
}
