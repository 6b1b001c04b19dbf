import RetNetModels
import RetNetTorch

/// A language model's memory of what it has read, with what is needed to go on from there.
public struct SavedState {
    /// The state after the absorbed tokens; `positions` say how many those are, row by row.
    public var state: LanguageModelState
    /// Logits [B, V] after the last absorbed token, if they are known.
    public var logits: Tensor?
    /// Tokens of each row that were chosen but not absorbed yet; they come before anything new.
    public var pendingTokens: [[Int32]]
    /// The identity of the tokenizer in use, if there was one.
    public var tokenizerIdentity: String?
    /// Free texts, for the writer's own use.
    public var metadata: [String: String]

    /// A state with what belongs to it; no pending tokens unless given.
    public init(
        state: LanguageModelState, logits: Tensor? = nil, pendingTokens: [[Int32]]? = nil,
        tokenizerIdentity: String? = nil, metadata: [String: String] = [:]
    ) {
        self.state = state
        self.logits = logits
        self.pendingTokens = pendingTokens ?? [[Int32]](repeating: [], count: state.batchSize)
        self.tokenizerIdentity = tokenizerIdentity
        self.metadata = metadata
    }

    /// How many tokens each row has absorbed.
    public var tokenCounts: [Int] { state.positions.map(\.count) }
}
