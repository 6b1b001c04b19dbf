import ArgumentParser
import Foundation
import RetNetCheckpoints
import RetNetCommandLine
import RetNetGeneration
import RetNetLayers
import RetNetModels
import RetNetSettings
import RetNetStorage
import RetNetText
import RetNetTorch

/// `retnet t5`: training, evaluation and outputs of T5 models.
struct T5Command: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "t5",
        abstract: "Train, evaluate and run T5 encoder-decoders.",
        discussion: """
            Models are folders in the form of Hugging Face's checkpoints. `retnet generate` generates text with \
            them, and `retnet bench t5` measures their speed.
            """,
        subcommands: [
            T5TrainCommand.self, T5FinetuneCommand.self, T5EvalCommand.self, T5CreateCommand.self,
            T5ConvertCommand.self, T5LogitsCommand.self, T5GenerateCommand.self,
        ])
}

/// `retnet t5 create`: an untrained T5 with T5's initial values.
struct T5CreateCommand: ParsableCommand, ComputingCommand {
    static let configuration = CommandConfiguration(
        commandName: "create",
        abstract: "Create an untrained T5.",
        discussion: """
            Transformers can read the folder too. With --tokenizer, a preset takes size and special tokens of the \
            tokenizer; a file of settings must agree with it.
            """)

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp("T5 preset; `retnet presets` lists them.", valueName: "name"))
    var preset: String?
    @Option(help: ArgumentHelp("YAML or JSON file with the settings of a T5.", valueName: "file"))
    var config: String?
    @Option(name: .shortAndLong, help: ArgumentHelp("Model folder to write.", valueName: "dir"))
    var output: String
    @Option(parsing: .unconditional, help: "Seed for initial weights.")
    var seed: UInt64 = 0
    @Flag(help: "Add the byte tokenizer with the model's end token, the one with sentinels if that is 1.")
    var bytes = false
    @OptionGroup var choice: TokenizerOptions

    func validate() throws {
        if bytes, choice.name != nil { throw ValidationError("give --bytes or --tokenizer, not both") }
        if (preset == nil) == (config == nil) { throw ValidationError("give either --preset or --config") }
        if let preset {
            do { _ = try T5Preset.named(preset) } catch { throw ValidationError("\(error)") }
        }
    }

    func run() throws {
        try Arguments.checkOutput(output)
        var configuration = try architecture()
        let tokenizer: (any Tokenizer)? =
            bytes ? try byteTokenizer(configuration) : try choice.loadWithSentinels()
        // A preset is made for no tokenizer in particular; a file says what it means.
        if let tokenizer, preset != nil { configuration = configuration.fitted(to: tokenizer) }
        if let tokenizer { try Self.check(tokenizer, configuration) }
        let store = ParameterStore(source: .random(seed: seed))
        let model = try withoutGradients {
            try T5Model(configuration, parameters: store, computeType: .float32)
        }
        try T5Folder.save(model, tokenizer: tokenizer, to: output)
        Console.note("\(store.parameterCount) parameters written to '\(output)'")
    }

    private func byteTokenizer(_ configuration: T5Configuration) throws -> any Tokenizer {
        let known: [any Tokenizer] = [SentinelByteTokenizer(), ByteTokenizer()]
        guard let tokenizer = known.first(where: { $0.endToken.map { Int($0) } == configuration.endToken })
        else {
            throw CommandError(
                "no byte tokenizer has the model's end token \(configuration.endToken): set end_token"
                    + " to \(known.compactMap(\.endToken).map { "\($0)" }.joined(separator: " or "))")
        }
        return tokenizer
    }

    /// Throws unless the model has rows for all tokens and both agree on the special ones.
    private static func check(_ tokenizer: any Tokenizer, _ configuration: T5Configuration) throws {
        guard tokenizer.vocabularySize <= configuration.vocabularySize else {
            throw CommandError(
                "the tokenizer needs a vocabulary of \(tokenizer.vocabularySize), but the model has"
                    + " \(configuration.vocabularySize): set vocabulary_size to at least the former")
        }
        let problems = configuration.specialTokenProblems(with: tokenizer)
        guard problems.isEmpty else {
            throw CommandError(
                "the tokenizer does not fit the model: "
                    + problems.map(\.description).joined(separator: "; "))
        }
    }

    private func architecture() throws -> T5Configuration {
        guard let config else { return try T5Preset.named(preset ?? "").configuration }
        let document = try SettingsDocument(contentsOf: URL(fileURLWithPath: config))
        let reader = document.reader
        let configuration = T5Configuration(reading: reader)
        try reader.finish()
        return configuration
    }
}

/// `retnet t5 convert`: a check and a copy of a folder with a T5 model.
struct T5ConvertCommand: ParsableCommand, ComputingCommand {
    static let configuration = CommandConfiguration(
        commandName: "convert",
        abstract: "Check a folder with a T5 model and write a copy of it.",
        discussion: "All problems of the folder are reported. Transformers can read the copy too.")

    @Option(help: ArgumentHelp("Folder of a T5 model.", valueName: "dir"))
    var model: String
    @OptionGroup var device: DeviceOptions
    @Option(name: .shortAndLong, help: ArgumentHelp("Model folder to write.", valueName: "dir"))
    var output: String

    func run() throws {
        try Arguments.checkOutput(output)
        let (_, type) = try device.prepare(.exact)
        let stored = device.elementTypeName == "auto" ? nil : type
        let path = try ModelOptions.modelPath(model)
        let loaded = try T5Folder.load(path, elementType: stored, sharesFiles: true)
        for name in loaded.ignoredTensors {
            Console.note("the tensor '\(name)' is not used by T5 and is not copied")
        }
        try T5Folder.save(
            loaded.model, tokenizer: ModelOptions.tokenizerToCopy(from: path) { try loaded.tokenizer },
            to: output, generationDefaults: loaded.generationDefaults)
        Console.note("\(loaded.model.parameters.parameterCount) parameters written to '\(output)'")
    }
}

/// `retnet t5 generate`: outputs for rows of token ids.
struct T5GenerateCommand: ParsableCommand, ComputingCommand {
    static let configuration = CommandConfiguration(
        commandName: "generate", abstract: "Print the token ids that a T5 generates as one JSON object.")

    @Option(help: ArgumentHelp("Folder of a T5 model.", valueName: "dir"))
    var model: String
    @OptionGroup var device: DeviceOptions
    @OptionGroup var search: BeamOptions
    @Option(help: ArgumentHelp("File with a JSON array of rows of token ids, or -.", valueName: "file"))
    var sources: String
    @Option(
        name: [.customLong("max-tokens"), .customShort("n")],
        parsing: .unconditional, help: "Largest number of tokens to generate, the end token included.",
        transform: Arguments.positive)
    var maxTokens: Int?
    @Flag(help: "Continue after end tokens.")
    var ignoreEnd = false

    func run() throws {
        let (device, type) = try device.prepare(.exact)
        let loaded = try T5Folder.load(
            ModelOptions.modelPath(model), elementType: type, device: device, computeType: type,
            sharesFiles: true)
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
    /// The output as an object for machines.
    var tree: SettingsTree {
        [
            "tokens": .array(tokens.map { .int(Int($0)) }), "score": .double(score),
            "finished": .bool(isFinished),
        ]
    }
}

/// `retnet t5 logits`: logits of a T5 for given targets.
struct T5LogitsCommand: ParsableCommand, ComputingCommand {
    static let configuration = CommandConfiguration(
        commandName: "logits",
        abstract: "Write the logits of targets given sources as safetensors.",
        discussion: """
            The output holds 'logits', float32 [B, T, V], and 'loss', the mean cross entropy in nats. Sources and \
            targets are JSON arrays of rows of token ids; rows are padded, and the decoder reads the targets shifted \
            right by one.
            """)

    @Option(help: ArgumentHelp("Folder of a T5 model.", valueName: "dir"))
    var model: String
    @OptionGroup var device: DeviceOptions
    @Option(help: ArgumentHelp("File with a JSON array of rows of token ids, or -.", valueName: "file"))
    var sources: String
    @Option(help: ArgumentHelp("File with a JSON array of rows of token ids, or -.", valueName: "file"))
    var targets: String
    @Option(name: .shortAndLong, help: ArgumentHelp("Safetensors file to write.", valueName: "file"))
    var output: String
    @Flag(help: "Decode step by step with a cache instead of in one pass.")
    var steps = false

    func run() throws {
        try Arguments.checkOutput(output, replaceable: true)
        let (device, type) = try device.prepare(.exact)
        let model = try T5Folder.load(
            ModelOptions.modelPath(model), elementType: type, device: device, computeType: type,
            sharesFiles: true
        ).model
        let batch = try T5Batch(
            sources: RaggedRows(path: sources).rows, targets: RaggedRows(path: targets).rows,
            configuration: model.configuration, device: device)
        try withoutGradients {
            let logits = try steps ? stepped(model, batch) : model(batch)
            let loss =
                try FusedOperators.tokenLosses(
                    logits.reshaped([-1, logits.size(-1)]), targets: batch.targets.reshaped([-1])
                ).losses.sum() / Double(batch.targetCount)
            try SafetensorsWriter(
                tensors: [("logits", logits.to(.float32)), ("loss", loss.to(.float32))]
            ).write(to: output)
            Console.note("logits \(logits.shape) written to '\(output)'")
        }
    }

    private func stepped(_ model: T5Model, _ batch: T5Batch) throws -> Tensor {
        var state = try model.startDecoding(model.encode(batch.source, segments: batch.sourceSegments))
        let parts = try (0..<batch.decoderInput.size(1)).map { time in
            let (logits, next) = try model.cachedStep(batch.decoderInput.selected(1, time), state: state)
            state = next
            return logits
        }
        return try Tensor.stacked(parts, axis: 1)
    }
}
