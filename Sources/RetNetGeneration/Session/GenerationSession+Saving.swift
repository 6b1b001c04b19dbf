import Foundation
import RetNetCheckpoints
import RetNetModels
import RetNetText
import RetNetTorch

extension GenerationSession {
    private static let rowsKey = "generation.rows"

    /// Everything needed to go on later, for `StateFile`; nil before anything was read.
    public func savedState() throws -> SavedState? {
        guard let content else { return nil }
        let rows = continuations.map { row in
            var row = row
            row.recentTokens = row.recentTokens.suffix(SamplingParameters.maximumRepetitionWindow)
            return row
        }
        let text = String(decoding: try JSONEncoder().encode(rows), as: UTF8.self)
        return SavedState(
            state: content.state, logits: logits, pendingTokens: pendingTokens,
            tokenizerIdentity: tokenizer.identity, metadata: [Self.rowsKey: text])
    }

    /// A session that goes on where a saved one stopped.
    ///
    /// A saved state without logits must have pending tokens or be given a prompt in every row. Throws
    /// ``GenerationError/invalidSavedState(reason:)``.
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
        var rows = [RowContinuation](repeating: RowContinuation(), count: rowCount)
        if let text = saved.metadata[Self.rowsKey] {
            do {
                rows = try JSONDecoder().decode([RowContinuation].self, from: Data(text.utf8))
            } catch {
                throw GenerationError.invalidSavedState(
                    reason: "\"\(Self.rowsKey)\" is not of the right form")
            }
            guard rows.count == rowCount else {
                throw GenerationError.invalidSavedState(
                    reason: "it has \(rowCount) rows, but \"\(Self.rowsKey)\" describes \(rows.count)")
            }
        }
        let size = model.configuration.vocabularySize
        if let logits = saved.logits, logits.shape != [rowCount, size] {
            throw GenerationError.invalidSavedState(
                reason: "its logits have the shape \(logits.shape) instead of \([rowCount, size])")
        }
        content = BatchState(
            state: saved.state,
            logits: try saved.logits
                ?? Tensor.zeros([rowCount, size], model.computeType.accumulator, on: model.device),
            logitsAreKnown: saved.logits != nil)
        pendingTokens = saved.pendingTokens
        continuations = rows
    }
}
