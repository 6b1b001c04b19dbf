import RetNetRuntime
import RetNetText

/// A state with everything that is needed to continue from it.
public struct StateSnapshot: Sendable {
    /// The state after the tokens read.
    public let state: SequenceState
    /// The tokens read; nil if they are not known, as in files of other programs.
    public let history: [Int32]?
    /// Tokens that were chosen but not read; they come before anything new.
    public let pending: [Int32]
    /// The logits after the last token read, if they are known.
    public let logits: [Float]?
    /// The place in the text behind all tokens, pending ones included.
    public let place: TextPlace

    /// A state after some tokens.
    public init(
        state: SequenceState, history: [Int32]?, pending: [Int32] = [], logits: [Float]? = nil,
        place: TextPlace
    ) {
        self.state = state
        self.history = history
        self.pending = pending
        self.logits = logits
        self.place = place
    }

    /// Number of tokens that it stands for, pending ones included.
    public var tokenCount: Int { state.tokenCount + pending.count }

    /// Bytes of the state, its logits and its tokens.
    public var byteCount: Int {
        state.byteCount + 4 * ((logits?.count ?? 0) + (history?.count ?? 0) + pending.count)
    }
}
