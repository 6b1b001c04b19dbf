import ArgumentParser
import Foundation
import RetNetCheckpoints
import RetNetCommandLine
import RetNetDistributed
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

            T5 models give the output of every prompt, the most probable tokens unless --temperature says otherwise; \
            --beams, --length-penalty, --early-stopping and --outputs are only for these models.

            Ctrl-C ends the text early; the state is still saved, and the exit code is 1. Ranks started by `retnet launch`, \
            torchrun, mpirun or srun divide several prompts, whose texts are those of one process.
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
        let assignment = try SharedWork.assignment()
        try states.checkOutput()
        let path = try model.modelPath()
        if assignment != nil, states.stateIn != nil || states.stateOut != nil || T5Folder.recognizes(path) {
            throw CommandError(
                "several ranks divide prompts of language models, without --state-in and --state-out: start one process"
            )
        }
        if T5Folder.recognizes(path) { return try generateFromT5(path) }
        guard !search.isGiven else {
            throw CommandError(
                "--beams, --length-penalty, --early-stopping and --outputs are for encoder-decoders: '\(path)' is none"
            )
        }
        let selection = try engine.select(
            path, device.shared(by: assignment), .fast,
            onlyLibTorch: [
                (prefillForm != nil, "--prefill-form"),
                (states.stateIn.map(StateFileHeader.isOfVersion1) ?? false, "state files of version 1"),
            ])
        let prompts = try prompt.texts()
        try SharedWork.run(assignment) { try run(prompts, selection, $0) }
    }

    private func run(_ prompts: [String], _ selection: EngineSelection, _ group: ProcessGroup?) throws {
        let isFirst = group?.rank ?? 0 == 0
        let opened = try selection.load()
        let loaded = opened.engine
        let session = try session(loaded)
        if isFirst { loaded.specialTokenRemarks.forEach(Console.note) }
        let parameters = sampling.parameters(SamplingParameters(defaults: loaded.generationDefaults))
        let interrupt = InterruptFlag.onSignals()
        let rows = prompts.isEmpty ? [String](repeating: "", count: max(1, session.rowCount)) : prompts
        let streams = rows.count == 1 && !json && group == nil
        if streams, echo { Console.stream(rows[0]) }
        let results = try Self.dividing(rows, parameters, group) { rows, parameters in
            try session.generate(
                rows, parameters, onText: { _, text in if streams { Console.stream(text) } },
                isCancelled: { interrupt.isRaised })
        }
        let isCancelled = results.contains { $0.finishReason == .cancelled }
        guard isFirst else {
            if isCancelled { throw ExitCodes.interrupted }
            return
        }
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
        if isCancelled { throw ExitCodes.interrupted }
    }

    /// Returns the results of all rows, of which each rank generates some, with the seeds that they have in one process.
    private static func dividing(
        _ rows: [String], _ parameters: SamplingParameters, _ group: ProcessGroup?,
        _ generate: ([String], SamplingParameters) throws -> [GenerationResult]
    ) throws -> [GenerationResult] {
        guard let group else { return try generate(rows, parameters) }
        let seed = try group.gatheredValues(
            parameters.seed ?? UInt64.random(in: 0...UInt64.max), "the seed of the texts")[0]
        let (first, end) = (
            rows.count * group.rank / group.count, rows.count * (group.rank + 1) / group.count
        )
        var own = parameters
        own.seed = seed &+ UInt64(first)
        let results = first == end ? [] : try generate(Array(rows[first..<end]), own)
        return try group.gatheredValues(results, "the texts of all ranks").flatMap { $0 }
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
