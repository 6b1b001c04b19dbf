import ArgumentParser
import RetNetCheckpoints
import RetNetGeneration

/// The choice of tokens; missing values come from the model folder, then from the package's defaults.
struct SamplingOptions: ParsableArguments {
    @Option(
        name: [.customLong("max-tokens"), .customShort("n")], parsing: .unconditional,
        help: "Largest number of tokens to generate.",
        transform: Arguments.nonNegative)
    var maxTokens: Int?

    @Option(
        name: [.long, .customLong("temp")],
        parsing: .unconditional, help: "Divisor of the logits; 0 takes the most probable token.")
    var temperature: Double?

    @Option(
        parsing: .unconditional, help: "Number of most probable tokens to keep; 0 keeps all.",
        transform: Arguments.nonNegative)
    var topK: Int?

    @Option(
        parsing: .unconditional, help: "Probability mass of the most probable tokens to keep; 1 keeps all.")
    var topP: Double?

    @Option(
        parsing: .unconditional,
        help: "Least probability to keep, relative to that of the most probable token; 0 keeps all.")
    var minP: Double?

    @Option(parsing: .unconditional, help: "Penalty on recent tokens; 1 changes nothing.")
    var repetitionPenalty: Double?

    @Option(
        parsing: .unconditional, help: "Number of last tokens that count as recent.",
        transform: Arguments.positive)
    var repetitionWindow: Int?

    @Option(
        parsing: .unconditionalSingleValue, help: "Text at which generation ends; may be given several times."
    )
    var stop: [String] = []

    @Flag(help: "Continue after end tokens.")
    var ignoreEnd = false

    @Option(
        parsing: .unconditional,
        help: "Seed of row 0; row r uses seed + r (default: drawn at random and printed at the end).")
    var seed: UInt64?

    func validate() throws {
        do {
            try parameters(SamplingParameters()).validate()
        } catch {
            throw ValidationError("\(error)")
        }
    }

    /// Returns the parameters; `base` has those of the model folder.
    func parameters(_ base: SamplingParameters) -> SamplingParameters {
        var result = base
        result.maxTokens = maxTokens ?? base.maxTokens
        result.temperature = temperature ?? base.temperature
        result.topK = topK ?? base.topK
        result.topP = topP ?? base.topP
        result.minP = minP ?? base.minP
        result.repetitionPenalty = repetitionPenalty ?? base.repetitionPenalty
        result.repetitionWindow = repetitionWindow ?? base.repetitionWindow
        result.stopStrings = stop
        result.stopsAtEndToken = !ignoreEnd
        result.seed = seed
        return result
    }
}

/// The search for the outputs of an encoder-decoder.
struct BeamOptions: ParsableArguments {
    @Option(
        parsing: .unconditional, help: "Number of beams; 1 takes the most probable token.",
        transform: Arguments.positive)
    var beams: Int?

    // Negative numbers are penalties too, not the names of options.
    @Option(
        parsing: .unconditional, help: "Exponent of the length penalty.")
    var lengthPenalty: Double?

    @Option(
        parsing: .unconditional,
        help: "Condition of an early end: heuristic, full or never, early_stopping in Transformers.")
    var earlyStopping: BeamSearchParameters.Stopping?

    @Option(parsing: .unconditional, help: "Number of outputs per source.", transform: Arguments.positive)
    var outputs: Int?

    /// True if any of these options is given.
    var isGiven: Bool {
        beams != nil || lengthPenalty != nil || earlyStopping != nil || outputs != nil
    }

    /// Returns the parameters; `defaults` has those of the model folder.
    func parameters(_ defaults: GenerationDefaults, maxTokens: Int?) -> BeamSearchParameters {
        var result = BeamSearchParameters()
        result.maxTokens = maxTokens ?? defaults.maxTokens ?? result.maxTokens
        result.beamCount = beams ?? defaults.beamCount ?? result.beamCount
        result.lengthPenalty = lengthPenalty ?? defaults.lengthPenalty ?? result.lengthPenalty
        result.stopping = earlyStopping ?? result.stopping
        result.outputCount = outputs ?? result.outputCount
        result.endTokens = defaults.endTokens
        return result
    }
}

extension BeamSearchParameters.Stopping: ExpressibleByArgument {}
