import ArgumentParser
import Foundation
import RetNetCommandLine
import RetNetRuntime
import RetNetSampling
import RetNetSettings
import RetNetStorage

/// The model and the threads of a command.
struct ModelOptions: ParsableArguments {
    @OptionGroup var folder: FolderOptions

    @Option(
        parsing: .unconditional, help: "Threads (default: one per processor core).",
        transform: Arguments.threads)
    var threads: Int?

    @OptionGroup var states: StateTypeOptions

    var stateType: StateElementType { states.stateType }

    func runner(_ model: RuntimeModel) throws -> ModelRunner {
        try ModelRunner(model, threads: threads ?? ModelRunner.defaultThreadCount)
    }
}

/// The folder of a model.
struct FolderOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "Model folder of `retnet train`, `convert` or `quantize`, or folder of a run.", valueName: "dir"))
    var model: String

    /// Returns the folder of the model, of a run that of its newest checkpoint.
    func path() throws -> String {
        let files = FileManager.default
        var isFolder: ObjCBool = false
        guard files.fileExists(atPath: model, isDirectory: &isFolder) else {
            throw CommandError("there is no model at '\(model)': check the path")
        }
        guard isFolder.boolValue else {
            throw CommandError("'\(model)' is a file: give the folder with config.json and the weights")
        }
        let newest = model + "/model"
        let isRun = !files.fileExists(atPath: model + "/config.json")
        return isRun && files.fileExists(atPath: newest + "/config.json") ? newest : model
    }
}

/// `retnet-lite generate`: continuation of texts.
struct GenerateCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "generate", abstract: "Continue a text and stream it to standard output.",
        discussion: """
            Several prompts form a batch, and their texts are printed at the end. --state-out saves the state after the \
            text, and --state-in resumes from there, as with `retnet generate`, whose files these are. T5 models give the \
            output of every prompt, the most probable tokens unless --temperature says otherwise. Ctrl-C ends the text early; \
            the state is still saved, and the exit code is 1.
            """)

    @OptionGroup var model: ModelOptions
    @OptionGroup var sampling: SamplingOptions

    @OptionGroup var prompt: PromptOptions
    @OptionGroup var states: StateOptions

    @Flag(help: "Print the prompt before the generated text.")
    var echo = false

    @Flag(help: "Print one JSON object at the end instead of streaming.")
    var json = false

    func validate() throws {
        if prompt.isEmpty, states.stateIn == nil {
            throw ValidationError("give --prompt, --prompt-file, - (standard input) or --state-in")
        }
    }

    func run() throws {
        let start = ContinuousClock.now
        try states.checkOutput()
        let path = try model.folder.path()
        if EncoderDecoderFolder.recognizes(path) { return try generateOutputs(path, since: start) }
        let texts = try prompt.texts()
        let folder = try RuntimeFolder(path: path, stateType: model.stateType)
        let tokenizer = try folder.tokenizer
        let generator = TextGenerator(try model.runner(folder.model), tokenizer: tokenizer)
        generator.beginToken = prompt.beginToken
        generator.keepsUnfinishedText = states.stateOut != nil
        try prompt.check(tokenizer)
        for remark in folder.specialTokenRemarks { Console.note(remark) }
        let begin = try states.stateIn.map { try folder.model.load($0, tokenizer: tokenizer) }
        let prompts = texts.isEmpty ? [String](repeating: "", count: begin?.states.count ?? 1) : texts
        let parameters = sampling.parameters(SamplingParameters(defaults: folder.defaults))
        let interrupt = InterruptFlag.onSignals()
        let streams = prompts.count == 1 && !json
        if streams, echo { Console.stream(prompts[0]) }
        var firstText: Duration?
        let results = try generator.generate(
            prompts, from: begin, parameters,
            onText: { _, text in
                if firstText == nil { firstText = ContinuousClock.now - start }
                if streams { Console.stream(text) }
            }, isCancelled: { interrupt.isRaised })
        if streams { Console.stream("\n") }
        if let stateOut = states.stateOut, let saved = generator.saved {
            try folder.model.save(saved, to: stateOut)
        }
        let secondsToText = firstText.map { $0 / .seconds(1) }
        if json {
            try report(
                results, prompts, generator.runner, stateByteCount: generator.saved?.byteCount ?? 0,
                stateType: model.stateType, secondsToText)
        } else if !streams {
            GenerationResult.printBatch(results, prompts: prompts, echo: echo)
        }
        if !json {
            Console.note(
                GenerationResult.statistics(
                    results, stateByteCount: generator.saved?.byteCount ?? 0, secondsToText: secondsToText))
        }
        if results.contains(where: { $0.finishReason == .cancelled }) { throw ExitCodes.interrupted }
    }

    /// Prints the output of an encoder-decoder for every prompt.
    private func generateOutputs(_ path: String, since start: ContinuousClock.Instant) throws {
        let given = [
            ("--state-in", states.stateIn != nil), ("--state-out", states.stateOut != nil),
            ("--add-bos", prompt.beginToken != .auto),
        ]
        if let name = given.first(where: \.1)?.0 {
            throw CommandError("\(name) cannot be used with a T5 model: it is for language models")
        }
        let prompts = try prompt.texts()
        let folder = try EncoderDecoderFolder(path: path, stateType: model.stateType)
        let threads = model.threads ?? SequenceRunner.defaultThreadCount
        let generator = OutputGenerator(
            try EncoderDecoderRunner(folder.model, threads: threads), tokenizer: try folder.tokenizer)
        let interrupt = InterruptFlag.onSignals()
        let streams = prompts.count == 1 && !json
        if streams, echo { Console.stream(prompts[0] + "\n") }
        var firstText: Duration?
        let results = try generator.generate(
            prompts, sampling.parameters(folder.parameters),
            onText: { _, text in
                if firstText == nil { firstText = ContinuousClock.now - start }
                if streams { Console.stream(text) }
            }, isCancelled: { interrupt.isRaised })
        let secondsToText = firstText.map { $0 / .seconds(1) }
        if json {
            try report(
                results, prompts, generator.runner, stateByteCount: generator.stateByteCount,
                stateType: folder.model.stateType, secondsToText)
        } else {
            if streams {
                Console.stream("\n")
            } else {
                GenerationResult.printBatch(results, prompts: prompts.map { $0 + "\n" }, echo: echo)
            }
            Console.note(
                GenerationResult.statistics(
                    results, stateByteCount: generator.stateByteCount, secondsToText: secondsToText))
        }
        if results.contains(where: { $0.finishReason == .cancelled }) { throw ExitCodes.interrupted }
    }

    private func report(
        _ results: [GenerationResult], _ prompts: [String], _ runner: SequenceRunner, stateByteCount: Int,
        stateType: StateElementType, _ secondsToText: Double?
    ) throws {
        try Console.json([
            "results": .array(zip(results, prompts).map { $0.tree(prompt: $1) }),
            "seconds_to_first_text": secondsToText.map { .double($0) } ?? .null,
            "state_bytes": .int(stateByteCount),
            "state_out": states.stateOut.map { .string($0) } ?? .null,
            "state_dtype": .string(stateType.rawValue),
            "engine": .string("runtime"), "threads": .int(runner.threadCount),
            "instruction_set": .string(runner.instructionSet),
            "peak_bytes": .int(ProcessMemory.peakByteCount),
        ])
    }
}
