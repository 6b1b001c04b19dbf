import RetNetMixers

/// How a session runs its model; none of it changes what is generated beyond rounding.
public struct GenerationOptions: Sendable, Equatable {
    /// The form in which prompts are read.
    public var prefillForm: MixerForm = .chunkwise(128)
    /// How many tokens of a prompt go through the model at once; bounds the memory for prompts of any length.
    public var prefillPieceLength = 1024
    /// Whether the tokenizer's begin token is put before new sequences that do not start with it.
    public var addsBeginToken = true
    /// Whether text held back when the tokens run out is kept for the next call instead of given out.
    ///
    /// Set it when the session's state will be saved to go on later: both texts together are then the same as
    /// one without interruption.
    public var keepsUnfinishedText = false

    /// The defaults.
    public init() {}

    /// Throws ``GenerationError/invalidParameters(_:)`` that lists every value out of range.
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
