import ArgumentParser
import RetNetCheckpoints
import RetNetCommandLine
import RetNetGeneration
import RetNetSampling

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
