import RetNetMixers

/// How a stream of tokens is cut into passes of the model.
public struct PerplexityOptions: Sendable, Equatable {
    /// What a window knows of the text before it.
    public enum Memory: Sendable, Equatable {
        /// Each window continues from the state of the one before.
        case carried
        /// Like ``carried``, but the state is cleared at the beginning of each document.
        case carriedWithinDocuments
        /// Nothing but `overlap` tokens that the window repeats without scoring them again; `rowCount` windows
        /// are computed at once.
        case independent(rowCount: Int, overlap: Int)
    }

    /// The form that every pass runs in.
    public var form: MixerForm
    /// The longest window in tokens.
    ///
    /// Memory grows with it. The result depends on it only where windows are independent.
    public var windowLength: Int
    /// What a window knows of the text before it.
    public var memory: Memory

    /// Windows of 2,048 tokens that carry the state, in chunks of 256, unless told otherwise.
    public init(form: MixerForm = .chunkwise(256), windowLength: Int = 2048, memory: Memory = .carried) {
        self.form = form
        self.windowLength = windowLength
        self.memory = memory
    }

    /// Independent windows of `context` tokens, as models without a state are measured.
    public static func independent(context: Int, form: MixerForm = .chunkwise(256)) -> PerplexityOptions {
        // About 8,192 tokens a pass keep the memory bounded, whatever the context.
        let rowCount = max(1, 8192 / max(1, context))
        return PerplexityOptions(
            form: form, windowLength: context, memory: .independent(rowCount: rowCount, overlap: 0))
    }
}
