import ArgumentParser
import Foundation
import RetNetCheckpoints
import RetNetCommandLine
import RetNetEngines
import RetNetGeneration
import RetNetInference
import RetNetReporting
import RetNetRuntime
import RetNetSampling
import RetNetSettings
import RetNetStorage
import RetNetText

/// `retnet generate` with a T5 model: the output of every prompt.
extension GenerateCommand {
    /// One output, whichever engine made it.
    fileprivate struct Output {
        let text: String
        let tokenCount: Int
        let tree: SettingsTree
    }

    /// What was made of all prompts.
    private struct Made {
        var outputs: [[Output]]
        var seconds: Double
        var engine: SettingsTree
        var summary: String
    }

    /// Prints the output of a T5 for every prompt.
    func generateFromT5(_ path: String) throws {
        try refuseForT5()
        let parameters = search.parameters(
            try GenerationDefaults(folder: path), maxTokens: sampling.maxTokens)
        try parameters.validate()
        let request = try engine.request(
            device, .fast,
            onlyLibTorch: [(parameters.beamCount > 1, "search with \(parameters.beamCount) beams")])
        let selection = try EncoderDecoderSelection(path, request)
        if selection.runtime == nil {
            try refuseSampling(selection)
            OpenMPSettings.apply()
        }
        let prompts = try prompt.texts()
        let interrupt = InterruptFlag.onSignals()
        let streams = prompts.count == 1 && !json
        if streams, echo { Console.stream(prompts[0] + "\n") }
        let made =
            if let runtime = selection.runtime {
                try make(runtime, prompts, parameters, streams: streams, interrupt)
            } else {
                try make(selection, prompts, parameters, interrupt)
            }
        if json {
            let results: [SettingsTree] = zip(prompts, made.outputs).map { prompt, outputs in
                ["prompt": .string(prompt), "outputs": .array(outputs.map(\.tree))]
            }
            let tree: SettingsTree = [
                "results": .array(results), "beams": .int(parameters.beamCount),
                "length_penalty": .double(parameters.lengthPenalty), "seconds": .double(made.seconds),
            ]
            try Console.json(tree.merging(made.engine))
        } else {
            print(made, prompts, streamed: streams && selection.kind == .runtime)
            let count = made.outputs.reduce(0) { $0 + ($1.first?.tokenCount ?? 0) }
            let beams = parameters.beamCount == 1 ? "1 beam" : "\(parameters.beamCount) beams"
            Console.note(
                "generated \(Format.grouped(count)) tokens with \(beams) in"
                    + " \(Format.duration(seconds: made.seconds))")
            Console.note(
                "engine \(made.summary)" + (selection.reason.map { "; not the runtime: \($0)" } ?? ""))
        }
        if interrupt.isRaised { throw ExitCodes.interrupted }
    }

    private func print(_ made: Made, _ prompts: [String], streamed: Bool) {
        if streamed { return Console.stream("\n") }
        for (index, row) in made.outputs.enumerated() {
            if prompts.count > 1 { Console.result("=== \(index + 1) of \(prompts.count) ===") }
            // The only prompt was printed before its output.
            let prompt = echo && prompts.count > 1 ? prompts[index] + "\n" : ""
            for output in row { Console.result(prompt + output.text) }
        }
    }

    // MARK: Engines

    private func make(
        _ runtime: (folder: EncoderDecoderFolder, runner: EncoderDecoderRunner), _ prompts: [String],
        _ search: BeamSearchParameters, streams: Bool, _ interrupt: InterruptFlag
    ) throws -> Made {
        let (folder, runner) = runtime
        var parameters = sampling.parameters(folder.parameters)
        parameters.recordsLogProbabilities = json
        let clock = ContinuousClock()
        let start = clock.now
        let results = try OutputGenerator(runner, tokenizer: folder.tokenizer).generate(
            prompts, parameters, onText: { _, text in if streams { Console.stream(text) } },
            isCancelled: { interrupt.isRaised })
        let seconds = (clock.now - start) / .seconds(1)
        let threads = runner.threadCount
        let details =
            "\(folder.model.weightSummary) weights, \(runner.instructionSet), \(threads) thread"
            + (threads == 1 ? "" : "s")
        return Made(
            outputs: results.map { [Output($0, lengthPenalty: search.lengthPenalty)] }, seconds: seconds,
            engine: [
                "device": "cpu", "dtype": "float32", "engine": "runtime",
                "engine_details": .string(details), "engine_reason": .null,
                "state_dtype": .string(folder.model.stateType.rawValue), "threads": .int(threads),
            ], summary: "runtime (\(details))")
    }

    private func make(
        _ selection: EncoderDecoderSelection, _ prompts: [String], _ parameters: BeamSearchParameters,
        _ interrupt: InterruptFlag
    ) throws -> Made {
        let (device, type) = try device.prepare(.fast, warns: false)
        let loaded = try selection.loadForLibTorch()
        let tokenizer = try loaded.tokenizer
        let end = Int32(clamping: loaded.configuration.endToken)
        // Prompts and outputs may hold sentinels, which are written by name.
        let sentinels = tokenizer as? any SentinelTokenizer
        let sources = prompts.map { (sentinels?.encodeWithSentinels($0) ?? tokenizer.encode($0)) + [end] }
        var timings = Timings()
        var outputs: [[BeamHypothesis]] = []
        try timings.time {
            outputs = try T5Generator(loaded.model).generate(sources, parameters) { interrupt.isRaised }
        }
        let texts = outputs.map { row in
            row.map { output in
                let tokens = output.tokens.filter { $0 != end }
                let text = sentinels?.decodeWithSentinels(tokens) ?? tokenizer.decode(tokens)
                return Output(
                    text: text, tokenCount: output.tokens.count,
                    tree: output.tree.merging(["text": .string(text)]))
            }
        }
        let details = "\(type.rawValue) on \(device)"
        return Made(
            outputs: texts, seconds: timings.median,
            engine: [
                "device": .string(device.description), "dtype": .string(type.rawValue), "engine": "libtorch",
                "engine_details": .string(details),
                "engine_reason": selection.reason.map { .string($0) } ?? .null,
            ], summary: "libtorch (\(details))")
    }

    // MARK: Refusals

    /// Throws for options that encoder-decoders lack.
    private func refuseForT5() throws {
        let given: [(String, Bool)] = [
            ("--prefill-form", prefillForm != nil), ("--state-in", states.stateIn != nil),
            ("--state-out", states.stateOut != nil), ("--add-bos", prompt.beginToken != .auto),
        ]
        guard let name = given.first(where: \.1)?.0 else { return }
        throw CommandError("\(name) cannot be used with a T5 model: it is for language models")
    }

    /// Throws for options of sampling, which LibTorch's search lacks.
    private func refuseSampling(_ selection: EncoderDecoderSelection) throws {
        let given: [(String, Bool)] = [
            ("--temperature", sampling.temperature != nil), ("--top-k", sampling.topK != nil),
            ("--top-p", sampling.topP != nil), ("--min-p", sampling.minP != nil),
            ("--repetition-penalty", sampling.repetitionPenalty != nil),
            ("--repetition-window", sampling.repetitionWindow != nil), ("--stop", !sampling.stop.isEmpty),
            ("--ignore-end", sampling.ignoreEnd), ("--seed", sampling.seed != nil),
        ]
        guard let name = given.first(where: \.1)?.0 else { return }
        throw CommandError(
            "\(name) cannot be used with a T5 model on LibTorch, which searches for the most probable output: leave it"
                + " out, or use the engine 'runtime'" + (selection.reason.map { " (\($0))" } ?? ""))
    }
}

extension GenerateCommand.Output {
    /// An output of the runtime with the score that LibTorch's search gives it.
    fileprivate init(_ result: GenerationResult, lengthPenalty: Double) {
        let sum = (result.logProbabilities ?? []).reduce(0, +)
        let count = result.tokens.count
        text = result.text
        tokenCount = count
        tree = [
            "tokens": .array(result.tokens.map { .int(Int($0)) }),
            "score": .double(sum / pow(Double(max(1, count)), lengthPenalty)),
            "finished": .bool(result.finishReason == .endToken || result.finishReason == .stop),
            "text": .string(result.text), "finish_reason": .string(result.finishReason.rawValue),
            "stop_string": result.stopString.map { .string($0) } ?? .null,
            "prompt_tokens": .int(result.promptTokenCount), "seed": .string(String(result.seed)),
            "prefill_seconds": .double(result.prefillSeconds),
            "decode_seconds": .double(result.decodeSeconds),
        ]
    }
}
