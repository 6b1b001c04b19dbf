import RetNetMixers
import RetNetModels
@_exported import RetNetSampling
import RetNetText
import RetNetTorch

/// The way a session runs its model; none of it changes the generated text beyond rounding.
public struct GenerationOptions: Sendable, Equatable {
    /// Form in which prompts are read.
    public var prefillForm: MixerForm = .chunkwise(128)
    /// Tokens of a prompt per pass of the model; bounds the memory for prompts of any length.
    public var prefillPieceLength = 1024
    /// Whether new sequences begin with the tokenizer's begin token; those that do already get no second one.
    public var beginToken = BeginTokenChoice.auto
    /// Whether steps of generation are recorded and repeated with one call, on devices that can (CUDA graphs).
    public var recording = StepRecording.automatic
    /// True if text held back at the last token is kept for the next call instead of being returned.
    ///
    /// Set it when the session's state will be saved and resumed: both texts together are then the same as the
    /// text of an uninterrupted session.
    public var keepsUnfinishedText = false

    /// Creates the default options.
    public init() {}

    /// Throws `GenerationError.invalidParameters(_:)` that lists every value out of range.
    public func validate() throws {
        var problems: [String] = []
        if prefillPieceLength < 1 {
            problems.append("prefill piece length is \(prefillPieceLength), but must be 1 or more")
        }
        if case .chunkwise(let length) = prefillForm, length < 1 {
            problems.append("the chunk length is \(length), but must be 1 or more")
        }
        guard problems.isEmpty else { throw GenerationError.invalidParameters(problems) }
    }
}

/// A model with a tokenizer and a batch of rows, each with its state, that reads and generates text.
///
/// Prompts are read in pieces of bounded size, then tokens are generated one at a time at a cost that does not
/// grow. The session can be forked, restored to a snapshot, and saved at any point. Rows never influence each
/// other. A call that throws leaves the session as it was. Nothing records gradients.
public final class GenerationSession {
    /// The model.
    public let model: LanguageModel
    /// The tokenizer.
    public let tokenizer: any Tokenizer
    /// The way the model is run.
    public let options: GenerationOptions
    /// The rows; empty before anything was read.
    var current = GenerationSnapshot()

    /// Creates a session without rows.
    ///
    /// Throws `GenerationError` if options are out of range or the model cannot generate.
    public init(model: LanguageModel, tokenizer: any Tokenizer, options: GenerationOptions = .init()) throws {
        try options.validate()
        for form in [.recurrent, options.prefillForm] {
            if let reason = model.unsupportedReason(for: form) {
                throw GenerationError.unsupportedForm(reason: reason)
            }
        }
        self.model = model
        self.tokenizer = tokenizer
        self.options = options
    }

    /// The number of rows; 0 before anything was read.
    public var rowCount: Int { current.content?.rowCount ?? 0 }

    /// The state after the tokens read; nil before anything was read.
    public var state: LanguageModelState? { current.content?.state }

    /// Logits [B, V] after the last token read of each row; nil before anything was read.
    public var logits: Tensor? { current.content.flatMap { $0.logitsAreKnown ? $0.logits : nil } }

    /// Number of tokens that each row has read and generated so far.
    public var tokenCounts: [Int] {
        guard let content = current.content else { return [] }
        return zip(content.state.positions, current.rows).map { $0.count + $1.pendingTokens.count }
    }

    // MARK: Rows

    /// Returns the session as it is now, at no cost, since states are never changed in place.
    public func snapshot() -> GenerationSnapshot { current }

    /// Returns to a snapshot of this session or of one with the same model.
    public func restore(_ snapshot: GenerationSnapshot) { current = snapshot }

    /// Removes all rows and states.
    public func reset() { current = GenerationSnapshot() }

    /// Returns a second, independent session that continues from the same point.
    public func fork() throws -> GenerationSession {
        let copy = try GenerationSession(model: model, tokenizer: tokenizer, options: options)
        copy.restore(current)
        return copy
    }

    /// Keeps the given rows, in that order; a row that is given twice continues as two.
    ///
    /// Further copies of a row draw other random numbers. Throws `GenerationError.noSuchRow(_:rowCount:)`,
    /// and leaves the session as it was if no rows are given.
    public func select(rows: [Int]) throws {
        if let bad = rows.first(where: { $0 < 0 || $0 >= rowCount }) {
            throw GenerationError.noSuchRow(bad, rowCount: rowCount)
        }
        guard current.content != nil, !rows.isEmpty else { return }
        current = try withoutGradients { try current.selecting(rows) }
    }
}
