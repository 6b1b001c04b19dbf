import ArgumentParser
import RetNetSampling

/// The choice of tokens; missing values come from the model folder, then from the package's defaults.
package struct SamplingOptions: ParsableArguments {
    @Option(
        name: [.customLong("max-tokens"), .customShort("n")], parsing: .unconditional,
        help: "Largest number of tokens to generate.",
        transform: Arguments.nonNegative)
    package var maxTokens: Int?

    @Option(
        name: [.long, .customLong("temp")],
        parsing: .unconditional, help: "Divisor of the logits; 0 takes the most probable token.")
    package var temperature: Double?

    @Option(
        parsing: .unconditional, help: "Number of most probable tokens to keep; 0 keeps all.",
        transform: Arguments.nonNegative)
    package var topK: Int?

    @Option(
        parsing: .unconditional, help: "Probability mass of the most probable tokens to keep; 1 keeps all.")
    package var topP: Double?

    @Option(
        parsing: .unconditional,
        help: "Least probability to keep, relative to that of the most probable token; 0 keeps all.")
    package var minP: Double?

    @Option(parsing: .unconditional, help: "Penalty on recent tokens; 1 changes nothing.")
    package var repetitionPenalty: Double?

    @Option(
        parsing: .unconditional, help: "Number of last tokens that count as recent.",
        transform: Arguments.positive)
    package var repetitionWindow: Int?

    @Option(
        parsing: .unconditionalSingleValue, help: "Text at which generation ends; may be given several times."
    )
    package var stop: [String] = []

    @Flag(help: "Continue after end tokens.")
    package var ignoreEnd = false

    @Option(
        parsing: .unconditional,
        help: "Seed of row 0; row r uses seed + r (default: drawn at random and printed at the end).")
    package var seed: UInt64?

    package init() {}

    package func validate() throws {
        do {
            try parameters(SamplingParameters()).validate()
        } catch {
            throw ValidationError("\(error)")
        }
    }

    /// Returns the parameters; `base` has those of the model folder.
    package func parameters(_ base: SamplingParameters) -> SamplingParameters {
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
