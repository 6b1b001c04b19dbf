import RetNetModels
import RetNetTorch

/// A session at one moment, to go back to; a value that nothing changes.
public struct GenerationSnapshot {
    let content: BatchState?
    let pendingTokens: [[Int32]]
    let continuations: [RowContinuation]

    /// Bytes of the states kept.
    public var byteCount: Int { content?.state.byteCount ?? 0 }
}
