import ArgumentParser
import Foundation
import RetNetCheckpoints
import RetNetCommandLine
import RetNetEngines
import RetNetGeneration
import RetNetInference
import RetNetMixers
import RetNetModels
import RetNetReporting
import RetNetSampling
import RetNetSettings
import RetNetStorage
import RetNetText
import RetNetTorch

/// `retnet generate`: continuation of texts.
struct GenerateCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "generate",
        abstract: "Continue a text and stream it to standard output.",
        discussion: """
            Several prompts form a batch, and their texts are printed at the end. --state-out saves the state after \
            the text in a file of fixed size, and --state-in resumes from there: without a new prompt, both texts \
            together equal the text of an uninterrupted run. A new prompt continues the text so far, and has the tokens \
            that it has in the whole, unless one of them would span the joint: give words and numbers whole.

            T5 models search for the output of every prompt: --beams, --length-penalty, --early-stopping and \
            --outputs are only for these models.

            Ctrl-C ends the text early; the state is still saved, and the exit code is 1.
            """)

    @OptionGroup var model: ModelOptions
    @OptionGroup var sampling: SamplingOptions
    @OptionGroup var search: BeamOptions
    @OptionGroup var device: DeviceOptions
    @OptionGroup var engine: EngineOptions

    @OptionGroup var prompt: PromptOptions

    @Option(
        parsing: .unconditional,
        help:
            "Form of reading prompts with LibTorch: parallel, chunkwise:N or recurrent (default: chunkwise:128).",
        transform: Arguments.form)
    var prefillForm: MixerForm?

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
        try states.checkOutput()
        let path = try model.modelPath()
        if T5Folder.recognizes(path) { return try generateFromT5(path) }
        guard !search.isGiven else {
            throw CommandError(
                "--beams, --length-penalty, --early-stopping and --outputs are for encoder-decoders: '\(path)' is none"
            )
        }
        let selection = try engine.select(
            path, device, .fast,
            onlyLibTorch: [
                (prefillForm != nil, "--prefill-form"),
                (states.stateIn.map(StateFileHeader.isOfVersion1) ?? false, "state files of version 1"),
            ])
        let prompts = try prompt.texts()
        let opened = try selection.load()
        let loaded = opened.engine
        let session = try session(loaded)
        for remark in loaded.specialTokenRemarks { Console.note(remark) }
        let parameters = sampling.parameters(SamplingParameters(defaults: loaded.generationDefaults))
        let interrupt = InterruptFlag.onSignals()
        let rows = prompts.isEmpty ? [String](repeating: "", count: max(1, session.rowCount)) : prompts
        let streams = rows.count == 1 && !json
        if streams, echo { Console.stream(rows[0]) }
        let results = try session.generate(
            rows, parameters, onText: { _, text in if streams { Console.stream(text) } },
            isCancelled: { interrupt.isRaised })
        if streams { Console.stream("\n") }
        if let stateOut = states.stateOut { try session.save(to: stateOut) }
        if json {
            try report(results, rows, parameters, session, opened)
        } else if !streams {
            GenerationResult.printBatch(results, prompts: rows, echo: echo)
        }
        if !json {
            Console.note(GenerationResult.statistics(results, stateByteCount: session.stateByteCount))
            Console.note("engine \(opened.engine.summary(reason: opened.reason))")
        }
        if results.contains(where: { $0.finishReason == .cancelled }) { throw ExitCodes.interrupted }
    }

    private func session(_ loaded: any LanguageEngine) throws -> any TextSession {
        var options = TextSessionOptions()
        options.prefillForm = prefillForm
        options.beginToken = prompt.beginToken
        options.keepsUnfinishedText = states.stateOut != nil
        try prompt.check(loaded.tokenizer)
        return try loaded.session(options, resuming: states.stateIn)
    }

    private func report(
        _ results: [GenerationResult], _ prompts: [String], _ parameters: SamplingParameters,
        _ session: any TextSession, _ opened: OpenedEngine
    ) throws {
        let entries = zip(results, prompts).map { result, prompt in
            result.tree(prompt: prompt).merging([
                "prefill_tokens_per_second": .double(result.prefillTokensPerSecond),
                "decode_tokens_per_second": .double(result.decodeTokensPerSecond),
            ])
        }
        let tree: SettingsTree = [
            "results": .array(entries),
            "sampling": [
                "max_tokens": .int(parameters.maxTokens), "temperature": .double(parameters.temperature),
                "top_k": .int(parameters.topK), "top_p": .double(parameters.topP),
                "min_p": .double(parameters.minP),
                "repetition_penalty": .double(parameters.repetitionPenalty),
            ],
            "state_bytes": .int(session.stateByteCount),
            "state_out": states.stateOut.map { .string($0) } ?? .null,
            "peak_bytes": .int(ProcessMemory.peakByteCount),
        ]
        try Console.json(tree.merging(opened.engine.tree(reason: opened.reason)))
    }
}

extension GenerateCommand {
    /// Prints the output of a T5 for every prompt.
    func generateFromT5(_ path: String) throws {
        try refuseForT5()
        OpenMPSettings.apply()
        let prompts = try prompt.texts()
        let (device, type) = try device.prepare(.fast)
        let loaded = try T5Folder.load(
            path, elementType: type, device: device, computeType: type, sharesFiles: true)
        let tokenizer = try loaded.tokenizer
        let parameters = search.parameters(loaded.generationDefaults, maxTokens: sampling.maxTokens)
        let end = Int32(clamping: loaded.configuration.endToken)
        // Prompts and outputs may hold sentinels, which are written by name.
        let sentinels = tokenizer as? any SentinelTokenizer
        let sources = prompts.map { (sentinels?.encodeWithSentinels($0) ?? tokenizer.encode($0)) + [end] }
        let interrupt = InterruptFlag.onSignals()
        var timings = Timings()
        var outputs: [[BeamHypothesis]] = []
        try timings.time {
            outputs = try T5Generator(loaded.model).generate(sources, parameters) { interrupt.isRaised }
        }
        func text(_ output: BeamHypothesis) -> String {
            let tokens = output.tokens.filter { $0 != end }
            return sentinels?.decodeWithSentinels(tokens) ?? tokenizer.decode(tokens)
        }
        if json {
            let results: [SettingsTree] = zip(prompts, outputs).map { prompt, outputs in
                [
                    "prompt": .string(prompt),
                    "outputs": .array(
                        outputs.map { $0.tree.merging(["text": .string(text($0))]) }),
                ]
            }
            try Console.json([
                "results": .array(results), "beams": .int(parameters.beamCount),
                "length_penalty": .double(parameters.lengthPenalty), "seconds": .double(timings.median),
                "device": .string(device.description), "dtype": .string(type.rawValue),
            ])
        } else {
            for (index, row) in outputs.enumerated() {
                if prompts.count > 1 { Console.result("=== \(index + 1) of \(prompts.count) ===") }
                for output in row { Console.result((echo ? prompts[index] + "\n" : "") + text(output)) }
            }
            let made = outputs.reduce(0) { $0 + ($1.first?.tokens.count ?? 0) }
            Console.note(
                "generated \(Format.grouped(made)) tokens with \(parameters.beamCount) beams in"
                    + " \(Format.duration(seconds: timings.median))")
        }
        if interrupt.isRaised { throw ExitCodes.interrupted }
    }

    /// Throws for options that encoder-decoders lack.
    private func refuseForT5() throws {
        let given: [(String, Bool)] = [
            ("--engine runtime", engine.choice == .runtime),
            ("--state-dtype", engine.stateType != .float32), ("--prefill-form", prefillForm != nil),
            ("--state-in", states.stateIn != nil), ("--state-out", states.stateOut != nil),
            ("--add-bos", prompt.beginToken != .auto),
            ("--temperature", sampling.temperature != nil), ("--top-k", sampling.topK != nil),
            ("--top-p", sampling.topP != nil), ("--min-p", sampling.minP != nil),
            ("--repetition-penalty", sampling.repetitionPenalty != nil), ("--stop", !sampling.stop.isEmpty),
            ("--ignore-end", sampling.ignoreEnd), ("--seed", sampling.seed != nil),
        ]
        guard let name = given.first(where: \.1)?.0 else { return }
        throw CommandError(
            "\(name) cannot be used with a T5 model: use --beams and --length-penalty"
        )
    }
}
