import ArgumentParser
import Foundation
import RetNetCommandLine
import RetNetRuntime
import RetNetSampling
import RetNetSettings
import RetNetStorage

/// The model and the threads of a command.
struct ModelOptions: ParsableArguments {
    @Option(help: ArgumentHelp("Model folder of `retnet train` or `retnet convert`.", valueName: "dir"))
    var model: String

    @Option(
        parsing: .unconditional, help: "Threads (default: one per processor core).",
        transform: Arguments.positive)
    var threads: Int?

    func runner(_ model: RuntimeModel) throws -> ModelRunner {
        try ModelRunner(model, threads: threads ?? ModelRunner.defaultThreadCount)
    }
}

/// `retnet-lite generate`: continuation of texts.
struct GenerateCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "generate", abstract: "Continue a text and stream it to standard output.",
        discussion: """
            Several prompts form a batch, and their texts are printed at the end. Ctrl-C ends the text early; the exit \
            code is then 1.
            """)

    @OptionGroup var model: ModelOptions
    @OptionGroup var sampling: SamplingOptions

    @OptionGroup var prompt: PromptOptions

    @Flag(help: "Print the prompt before the generated text.")
    var echo = false

    @Flag(help: "Print one JSON object at the end instead of streaming.")
    var json = false

    func validate() throws {
        if prompt.isEmpty {
            throw ValidationError("give --prompt, --prompt-file or - (standard input)")
        }
    }

    func run() throws {
        let start = ContinuousClock.now
        let prompts = try prompt.texts()
        let folder = try RuntimeFolder(path: model.model)
        let generator = TextGenerator(
            try model.runner(folder.model), tokenizer: try folder.tokenizer)
        let parameters = sampling.parameters(SamplingParameters(defaults: folder.defaults))
        let interrupt = InterruptFlag.onSignals()
        let streams = prompts.count == 1 && !json
        if streams, echo { Console.stream(prompts[0]) }
        var firstText: Duration?
        let results = try generator.generate(
            prompts, parameters,
            onText: { _, text in
                if firstText == nil { firstText = ContinuousClock.now - start }
                if streams { Console.stream(text) }
            }, isCancelled: { interrupt.isRaised })
        if streams { Console.stream("\n") }
        let secondsToText = firstText.map { $0 / .seconds(1) }
        if json {
            try report(results, prompts, parameters, generator, secondsToText)
        } else if !streams {
            GenerationResult.printBatch(results, prompts: prompts, echo: echo)
        }
        if !json { Console.note(statistics(results, generator, secondsToText)) }
        if results.contains(where: { $0.finishReason == .cancelled }) { throw ExitCodes.interrupted }
    }

    private func statistics(
        _ results: [GenerationResult], _ generator: TextGenerator, _ secondsToText: Double?
    ) -> String {
        let read = results.reduce(0) { $0 + $1.promptTokenCount }
        let made = results.reduce(0) { $0 + $1.tokens.count }
        let seconds = (results.first?.prefillSeconds ?? 0, results.map(\.decodeSeconds).max() ?? 0)
        func rate(_ count: Int, _ seconds: Double) -> String {
            seconds > 0 ? "\(Int((Double(count) / seconds).rounded())) tokens/s" : "0 s"
        }
        let reasons = Set(results.map(\.finishReason.rawValue)).sorted().joined(separator: ", ")
        let first = secondsToText.map { "first text after \(Int(($0 * 1000).rounded())) ms, " } ?? ""
        let state = generator.finalStates.reduce(0) { $0 + $1.byteCount }
        return "read \(read) tokens (\(rate(read, seconds.0))), generated \(made) (\(rate(made, seconds.1))),"
            + " \(first)ended by \(reasons), seed \(results.map { String($0.seed) }.joined(separator: ", ")),"
            + " state \(state) bytes, peak memory \(ProcessMemory.peakByteCount) bytes"
    }

    private func report(
        _ results: [GenerationResult], _ prompts: [String], _ parameters: SamplingParameters,
        _ generator: TextGenerator, _ secondsToText: Double?
    ) throws {
        try Console.json([
            "results": .array(zip(results, prompts).map { $0.tree(prompt: $1) }),
            "seconds_to_first_text": secondsToText.map { .double($0) } ?? .null,
            "state_bytes": .int(generator.finalStates.reduce(0) { $0 + $1.byteCount }),
            "engine": .string("runtime"), "threads": .int(generator.runner.threadCount),
            "instruction_set": .string(generator.runner.instructionSet),
            "peak_bytes": .int(ProcessMemory.peakByteCount),
        ])
    }
}
