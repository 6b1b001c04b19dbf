import ArgumentParser
import RetNetGeneration

/// How tokens are chosen; what is not given comes from the model folder, then from the package's defaults.
struct SamplingOptions: ParsableArguments {
    @Option(
        name: [.customLong("max-tokens"), .customShort("n")], help: "How many tokens to generate at most.",
        transform: Arguments.nonNegative)
    var maxTokens: Int?

    @Option(
        name: [.long, .customLong("temp")],
        help: "What logits are divided by; 0 takes the most probable token.")
    var temperature: Double?

    @Option(
        help: "How many of the most probable tokens are kept; 0 keeps all.", transform: Arguments.nonNegative)
    var topK: Int?

    @Option(help: "The probability mass of the most probable tokens that is kept; 1 keeps all.")
    var topP: Double?

    @Option(help: "The least probability that is kept, relative to the most probable token's; 0 keeps all.")
    var minP: Double?

    @Option(help: "By how much recent tokens are made less probable; 1 changes nothing.")
    var repetitionPenalty: Double?

    @Option(help: "How many of the last tokens count as recent.", transform: Arguments.positive)
    var repetitionWindow: Int?

    @Option(help: "A text at which generation ends; may be given several times.")
    var stop: [String] = []

    @Flag(help: "Go on after the token that ends a text.")
    var ignoreEnd = false

    @Option(help: "The seed; row r of a batch uses seed + r. Without one it is drawn, and told at the end.")
    var seed: UInt64?

    func validate() throws {
        do {
            try parameters(SamplingParameters()).validate()
        } catch {
            throw ValidationError("\(error)")
        }
    }

    /// The parameters, with those of the model folder where none are given.
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
