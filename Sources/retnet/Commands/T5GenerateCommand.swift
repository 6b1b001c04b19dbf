import ArgumentParser
import RetNetCheckpoints
import RetNetGeneration
import RetNetModels
import RetNetSettings
import RetNetTorch
import RetNetTraining

/// How the outputs of an encoder-decoder are searched for.
struct BeamOptions: ParsableArguments {
    @Option(help: "How many beams to keep; 1 takes the most probable token.", transform: Arguments.positive)
    var beams: Int?

    // Negative numbers are penalties too, not the names of options.
    @Option(
        parsing: .unconditional, help: "The power of its length by which the score of an output is divided.")
    var lengthPenalty: Double?

    @Option(help: "When a search ends early: heuristic, full or never, as early_stopping in Transformers.")
    var earlyStopping: BeamSearchParameters.Stopping?

    @Option(help: "How many outputs to return for each source.", transform: Arguments.positive)
    var outputs: Int?

    /// Whether anything was said.
    var isGiven: Bool {
        beams != nil || lengthPenalty != nil || earlyStopping != nil || outputs != nil
    }

    /// The parameters, with those of the model folder where none are given.
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

/// `retnet t5 generate`: the outputs for rows of token ids.
struct T5GenerateCommand: ParsableCommand, ComputingCommand {
    static let configuration = CommandConfiguration(
        commandName: "generate", abstract: "Print the token ids that a T5 generates, as one JSON object.")

    @Option(help: ArgumentHelp("A folder with a T5 model.", valueName: "dir"))
    var model: String
    @OptionGroup var device: DeviceOptions
    @OptionGroup var search: BeamOptions
    @Option(help: ArgumentHelp("A JSON array of rows of token ids, or -.", valueName: "file"))
    var sources: String
    @Option(
        name: [.customLong("max-tokens"), .customShort("n")],
        help: "How many tokens to generate at most, the end included.", transform: Arguments.positive)
    var maxTokens: Int?
    @Flag(help: "Go on after the token that ends a text.")
    var ignoreEnd = false

    func run() throws {
        let (device, type) = try device.prepare(.exact)
        let loaded = try T5Folder.load(
            ModelOptions.modelPath(model), elementType: type, device: device, computeType: type)
        var parameters = search.parameters(loaded.generationDefaults, maxTokens: maxTokens)
        if ignoreEnd { parameters.endTokens = [] }
        let interrupt = InterruptFlag.onSignals()
        var timings = Timings()
        var outputs: [[BeamHypothesis]] = []
        let rows = try RaggedRows(path: sources).rows
        try timings.time {
            outputs = try T5Generator(loaded.model).generate(rows, parameters) { interrupt.isRaised }
        }
        try Console.json([
            "outputs": .array(outputs.map { .array($0.map(\.tree)) }), "beams": .int(parameters.beamCount),
            "seconds": .double(timings.median),
        ])
        if interrupt.isRaised { throw ExitCodes.interrupted }
    }
}

extension BeamHypothesis {
    /// The output for machines.
    var tree: SettingsTree {
        [
            "tokens": .array(tokens.map { .int(Int($0)) }), "score": .double(score),
            "finished": .bool(isFinished),
        ]
    }
}
