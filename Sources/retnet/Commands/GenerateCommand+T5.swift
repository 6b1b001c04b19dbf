import ArgumentParser
import Foundation
import RetNetCheckpoints
import RetNetGeneration
import RetNetModels
import RetNetReporting
import RetNetSettings
import RetNetText
import RetNetTorch
import RetNetTraining

extension GenerateCommand {
    /// Text to text: every prompt is a source, and what the decoder makes of it is printed.
    func generateFromT5(_ path: String, prompts: [String]) throws {
        try refuseForT5()
        let (device, type) = try device.prepare(.fast)
        let loaded = try T5Folder.load(path, elementType: type, device: device, computeType: type)
        let tokenizer = try loaded.tokenizer
        let parameters = search.parameters(loaded.generationDefaults, maxTokens: sampling.maxTokens)
        let end = Int32(clamping: loaded.configuration.endToken)
        // Prompts and outputs may have gaps, which are written by name.
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

    /// Options that mean nothing for an encoder-decoder.
    private func refuseForT5() throws {
        let given: [(String, Bool)] = [
            ("--state-in", stateIn != nil), ("--state-out", stateOut != nil),
            ("--temperature", sampling.temperature != nil), ("--top-k", sampling.topK != nil),
            ("--top-p", sampling.topP != nil), ("--min-p", sampling.minP != nil),
            ("--repetition-penalty", sampling.repetitionPenalty != nil), ("--stop", !sampling.stop.isEmpty),
            ("--ignore-end", sampling.ignoreEnd), ("--seed", sampling.seed != nil),
        ]
        guard let name = given.first(where: \.1)?.0 else { return }
        throw CommandError(
            "\(name) cannot be used with a T5 model, whose outputs are searched for: use --beams and --length-penalty"
        )
    }
}
