/// How tokens are chosen and when a text ends.
///
/// The steps are applied in one fixed order: repetition penalty, temperature, top-k, top-p, min-p. Each filter
/// works on the distribution that the steps before it left.
public struct SamplingParameters: Sendable, Equatable {
    /// What logits are divided by; 0 always takes the most probable token.
    public var temperature = 1.0
    /// How many of the most probable tokens are kept; 0 keeps all.
    public var topK = 0
    /// The probability mass of the most probable tokens that is kept; 1 keeps all.
    public var topP = 1.0
    /// The least probability that is kept, relative to the most probable token's; 0 keeps all.
    public var minP = 0.0
    /// By what the logits of recent tokens are divided where positive, else multiplied; 1 changes nothing.
    public var repetitionPenalty = 1.0
    /// How many of the last tokens, those of the prompt included, count as recent.
    public var repetitionWindow = 256
    /// The seed of row 0, to which other rows add their number.
    ///
    /// Nil goes on with a session's generators, or draws a seed where there is none yet. A seed that a row
    /// already uses goes on as well; another one starts afresh.
    public var seed: UInt64?
    /// How many tokens to generate at most.
    public var maxTokens = 256
    /// Texts at which a row ends; they are not part of its text.
    public var stopStrings: [String] = []
    /// Whether a row ends at an end token.
    public var stopsAtEndToken = true
    /// The end tokens; nil means the tokenizer's.
    public var endTokens: [Int32]?
    /// Whether results hold the log-probability of every token.
    public var recordsLogProbabilities = false

    /// Plain sampling of up to 256 tokens.
    public init() {}

    /// The largest ``repetitionWindow``: sessions remember that many tokens.
    public static let maximumRepetitionWindow = 4096

    /// Always the most probable token, up to a number of tokens.
    public static func greedy(maxTokens: Int) -> SamplingParameters {
        var parameters = SamplingParameters()
        parameters.temperature = 0
        parameters.maxTokens = maxTokens
        return parameters
    }

    /// Throws ``GenerationError/invalidParameters(_:)`` that lists every value out of range.
    public func validate() throws {
        var problems: [String] = []
        func require(_ holds: Bool, _ name: String, _ found: some Any, _ allowed: String) {
            if !holds { problems.append("\(name) is \(found), but must be \(allowed)") }
        }
        require(temperature.isFinite && temperature >= 0, "temperature", temperature, "a number from 0")
        require(topK >= 0, "top-k", topK, "0 or more")
        require(topP > 0 && topP <= 1, "top-p", topP, "above 0 and at most 1")
        require(minP >= 0 && minP <= 1, "min-p", minP, "from 0 to 1")
        require(
            repetitionPenalty >= 0.01 && repetitionPenalty <= 100, "repetition penalty", repetitionPenalty,
            "from 0.01 to 100")
        require(
            (1...Self.maximumRepetitionWindow).contains(repetitionWindow), "repetition window",
            repetitionWindow, "from 1 to \(Self.maximumRepetitionWindow)")
        require(maxTokens >= 0, "max tokens", maxTokens, "0 or more")
        require(!stopStrings.contains(""), "a stop string", "empty", "at least one character")
        require(!(endTokens ?? []).contains { $0 < 0 }, "an end token", "negative", "a token number")
        guard problems.isEmpty else { throw GenerationError.invalidParameters(problems) }
    }
}
