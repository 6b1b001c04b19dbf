import RetNetText

/// The choice of tokens and the end of a text.
///
/// The steps are applied in one fixed order: repetition penalty, temperature, top-k, top-p, min-p. Each filter
/// works on the distribution that the steps before it left.
public struct SamplingParameters: Sendable, Equatable {
    /// Divisor of the logits; 0 always takes the most probable token.
    public var temperature = 1.0
    /// Number of most probable tokens to keep; 0 keeps all.
    public var topK = 0
    /// Probability mass of the most probable tokens to keep; 1 keeps all.
    public var topP = 1.0
    /// Least probability to keep, relative to that of the most probable token; 0 keeps all.
    public var minP = 0.0
    /// Divisor of the positive logits of recent tokens, and factor of the negative ones; 1 changes nothing.
    public var repetitionPenalty = 1.0
    /// Number of last tokens, those of the prompt included, that count as recent.
    public var repetitionWindow = 256
    /// Seed of row 0; row r uses this seed plus r.
    ///
    /// Nil continues with a session's generators, or draws a seed where there is none yet. A seed that a row
    /// already uses continues its generator; another one starts a new generator.
    public var seed: UInt64?
    /// Largest number of tokens to generate.
    public var maxTokens = 256
    /// Texts at which a row ends; they are not part of its text.
    public var stopStrings: [String] = []
    /// True if a row ends at an end token.
    public var stopsAtEndToken = true
    /// The end tokens; nil means the tokenizer's.
    public var endTokens: [Int32]?
    /// True if results hold the log-probability of every token.
    public var recordsLogProbabilities = false

    /// Creates parameters for plain sampling of up to 256 tokens.
    public init() {}

    /// The largest ``repetitionWindow``, which is the number of tokens that sessions keep.
    public static let maximumRepetitionWindow = 4096

    /// Returns parameters that always take the most probable token, up to a number of tokens.
    public static func greedy(maxTokens: Int) -> SamplingParameters {
        var parameters = SamplingParameters()
        parameters.temperature = 0
        parameters.maxTokens = maxTokens
        return parameters
    }

    /// Returns the tokens at which a row ends; none if it does not end at tokens.
    package func effectiveEndTokens(_ tokenizer: any Tokenizer) -> Set<Int32> {
        stopsAtEndToken ? Set(endTokens ?? tokenizer.endToken.map { [$0] } ?? []) : []
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

// MARK: Defaults of a model folder

extension SamplingParameters {
    /// Creates the parameters of a model folder; values that it lacks keep this package's defaults.
    ///
    /// `do_sample: false` becomes the temperature 0.
    public init(defaults: GenerationDefaults) {
        self.init()
        maxTokens = defaults.maxTokens ?? maxTokens
        temperature = defaults.temperature ?? temperature
        topK = defaults.topK ?? topK
        topP = defaults.topP ?? topP
        minP = defaults.minP ?? minP
        repetitionPenalty = defaults.repetitionPenalty ?? repetitionPenalty
        endTokens = defaults.endTokens
        if defaults.samples == false { temperature = 0 }
    }

    /// The parameters as a model folder holds them, without special tokens that are not set here.
    public var defaults: GenerationDefaults {
        var defaults = GenerationDefaults()
        defaults.maxTokens = maxTokens
        defaults.samples = temperature > 0
        defaults.temperature = temperature > 0 ? temperature : nil
        defaults.topK = topK
        defaults.topP = topP
        defaults.minP = minP
        defaults.repetitionPenalty = repetitionPenalty
        defaults.endTokens = endTokens
        return defaults
    }
}
