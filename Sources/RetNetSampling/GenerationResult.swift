/// The reason why a row's text ended.
public enum FinishReason: String, Sendable, Codable {
    /// A stop string was generated.
    case stop
    /// The largest number of tokens was generated.
    case length
    /// An end token was generated.
    case endToken = "end_token"
    /// The caller cancelled.
    case cancelled
}

/// The text generated for one row.
public struct GenerationResult: Sendable, Equatable, Codable {
    /// The text, without the stop string that ended it.
    public var text = ""
    /// The tokens, those of the stop string and the end token included.
    public var tokens: [Int32] = []
    /// The log-probability of each token in nats under the model itself, if recorded.
    public var logProbabilities: [Double]?
    /// The reason why the text ended.
    public var finishReason: FinishReason
    /// The stop string that ended the text.
    public var stopString: String?
    /// Number of tokens read before the first was generated, the begin token included.
    public var promptTokenCount = 0
    /// Seed of the row, with which it can be generated again alone.
    public var seed: UInt64 = 0
    /// Seconds for reading the prompts of all rows.
    public var prefillSeconds = 0.0
    /// Seconds from the end of reading to the end of this row.
    public var decodeSeconds = 0.0

    /// A result without text.
    public init(finishReason: FinishReason) { self.finishReason = finishReason }

    /// Tokens of this row's prompt read per second; 0 if no time was measured.
    public var prefillTokensPerSecond: Double {
        prefillSeconds > 0 ? Double(promptTokenCount) / prefillSeconds : 0
    }

    /// Tokens of this row generated per second; 0 if no time was measured.
    public var decodeTokensPerSecond: Double {
        decodeSeconds > 0 ? Double(tokens.count) / decodeSeconds : 0
    }
}
