/// What was generated for one row.
public struct GenerationResult: Sendable, Equatable {
    /// The text, without the stop string that ended it.
    public var text = ""
    /// The tokens, those of the stop string and the end token included.
    public var tokens: [Int32] = []
    /// The log-probability of each token in nats under the model itself, if asked for.
    public var logProbabilities: [Double]?
    /// Why the text ended.
    public var finishReason: FinishReason
    /// The stop string that ended the text.
    public var stopString: String?
    /// How many tokens were read before the first was generated, the begin token included.
    public var promptTokenCount = 0
    /// The seed of the row, with which it can be generated again alone.
    public var seed: UInt64 = 0
    /// Seconds for reading the prompts of all rows.
    public var prefillSeconds = 0.0
    /// Seconds from the end of reading to the end of this row.
    public var decodeSeconds = 0.0

    /// Tokens of this row's prompt read a second; 0 if no time was measured.
    public var prefillTokensPerSecond: Double {
        prefillSeconds > 0 ? Double(promptTokenCount) / prefillSeconds : 0
    }

    /// Tokens of this row generated a second; 0 if no time was measured.
    public var decodeTokensPerSecond: Double {
        decodeSeconds > 0 ? Double(tokens.count) / decodeSeconds : 0
    }
}
