import RetNetModels
import RetNetTorch

extension GenerationSession {
    /// The session as it is now; costs nothing, since states are never changed in place.
    public func snapshot() -> GenerationSnapshot {
        GenerationSnapshot(content: content, pendingTokens: pendingTokens, continuations: continuations)
    }

    /// Goes back to a snapshot of this session or of one with the same model.
    public func restore(_ snapshot: GenerationSnapshot) {
        content = snapshot.content
        pendingTokens = snapshot.pendingTokens
        continuations = snapshot.continuations
    }

    /// Forgets everything that was read.
    public func reset() {
        content = nil
        pendingTokens = []
        continuations = []
    }

    /// A second session that goes on from the same point, independently.
    public func fork() throws -> GenerationSession {
        let copy = try GenerationSession(model: model, tokenizer: tokenizer, options: options)
        copy.restore(snapshot())
        return copy
    }

    /// Keeps the given rows, in that order; a row that is given twice goes on as two.
    ///
    /// Further copies of a row draw other random numbers. Throws ``GenerationError/noSuchRow(_:rowCount:)``,
    /// and leaves the session as it was if no rows are given.
    public func select(rows: [Int]) throws {
        if let bad = rows.first(where: { $0 < 0 || $0 >= rowCount }) {
            throw GenerationError.noSuchRow(bad, rowCount: rowCount)
        }
        guard let content, !rows.isEmpty else { return }
        let selected = try withoutGradients { try content.selecting(rows) }
        var copies: [Int: UInt64] = [:]
        continuations = rows.map { row in
            let copy = copies[row, default: 0]
            copies[row] = copy + 1
            return copy == 0 ? continuations[row] : continuations[row].forked(stream: copy)
        }
        pendingTokens = rows.map { pendingTokens[$0] }
        self.content = selected
    }

    /// A snapshot of one row as one of several equal rows.
    func forked(_ snapshot: GenerationSnapshot, into count: Int) throws -> GenerationSnapshot {
        GenerationSnapshot(
            content: try snapshot.content?.selecting([Int](repeating: 0, count: count)),
            pendingTokens: (0..<count).map { _ in snapshot.pendingTokens[0] },
            continuations: (0..<count).map {
                $0 == 0 ? snapshot.continuations[0] : snapshot.continuations[0].forked(stream: UInt64($0))
            })
    }
}
