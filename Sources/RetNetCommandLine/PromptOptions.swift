import ArgumentParser
import RetNetReporting
import RetNetRuntime
import RetNetSampling
import RetNetSettings
import RetNetStorage
import RetNetText

/// The texts that generation continues.
package struct PromptOptions: ParsableArguments {
    @Option(parsing: .unconditionalSingleValue, help: "Text to continue; may be given several times.")
    package var prompt: [String] = []

    @Option(help: ArgumentHelp("UTF-8 file to continue; may be given several times.", valueName: "file"))
    package var promptFile: [String] = []

    @Argument(help: ArgumentHelp("Read the prompt from standard input.", valueName: "-"))
    package var standardInput: String?

    @Option(
        name: .customLong("add-bos"), parsing: .unconditional,
        help: ArgumentHelp(
            "The begin token before each prompt: auto, yes or no.",
            discussion: "auto does what the tokenizer's own files say; models trained with retnet have it."))
    package var beginToken = BeginTokenChoice.auto

    package init() {}

    /// Throws if the tokenizer lacks the begin token that was asked for.
    package func check(_ tokenizer: any Tokenizer) throws {
        if beginToken == .yes, tokenizer.beginToken == nil {
            throw CommandError("the tokenizer has no begin token: leave --add-bos out")
        }
    }

    package func validate() throws {
        if let standardInput, standardInput != "-" {
            throw ValidationError("unexpected argument '\(standardInput)': give the text with --prompt")
        }
    }

    /// True if no text is given.
    package var isEmpty: Bool { prompt.isEmpty && promptFile.isEmpty && standardInput == nil }

    /// Reads all texts: those of the command line, of files, and of standard input.
    package func texts() throws -> [String] {
        try prompt + promptFile.map(TextInput.text) + (standardInput.map { [try TextInput.text($0)] } ?? [])
    }
}

extension BeginTokenChoice: ExpressibleByArgument {}

extension GenerationResult {
    /// Prints the texts of a batch under their numbers, with their prompts if `echo` says so.
    package static func printBatch(_ results: [GenerationResult], prompts: [String], echo: Bool) {
        for (index, result) in results.enumerated() {
            Console.result("=== \(index + 1) of \(results.count) ===")
            Console.result((echo ? prompts[index] : "") + result.text)
        }
    }

    /// Returns one line on the tokens, the speed and the memory of a batch.
    package static func statistics(
        _ results: [GenerationResult], stateByteCount: Int, secondsToText: Double? = nil
    ) -> String {
        func rate(_ count: Int, _ seconds: Double) -> String {
            seconds > 0 ? "\(Format.count(Double(count) / seconds)) tokens/s" : "0 s"
        }
        let read = results.reduce(0) { $0 + $1.promptTokenCount }
        let made = results.reduce(0) { $0 + $1.tokens.count }
        let first = secondsToText.map { "first text after \(Format.duration(seconds: $0)), " } ?? ""
        let reasons = Set(results.map(\.finishReason.rawValue)).sorted().joined(separator: ", ")
        let seeds = results.map { String($0.seed) }.joined(separator: ", ")
        return """
            read \(Format.grouped(read)) tokens (\(rate(read, results.first?.prefillSeconds ?? 0))), generated \
            \(Format.grouped(made)) (\(rate(made, results.map(\.decodeSeconds).max() ?? 0))), \(first)ended by \
            \(reasons), seed \(seeds), state \(Format.bytes(stateByteCount)), peak memory \
            \(Format.bytes(ProcessMemory.peakByteCount))
            """
    }

    /// Returns the fields of the result that every engine has, for JSON.
    package func tree(prompt: String) -> SettingsTree {
        [
            "prompt": .string(prompt), "text": .string(text),
            "tokens": .array(tokens.map { .int(Int($0)) }),
            "finish_reason": .string(finishReason.rawValue),
            "stop_string": stopString.map { .string($0) } ?? .null,
            "prompt_tokens": .int(promptTokenCount), "generated_tokens": .int(tokens.count),
            // Seeds use all 64 bits, more than a JSON number can be trusted with.
            "seed": .string(String(seed)),
            "prefill_seconds": .double(prefillSeconds), "decode_seconds": .double(decodeSeconds),
        ]
    }
}

/// The state files that generation begins from and leaves.
package struct StateOptions: ParsableArguments {
    @Option(help: ArgumentHelp("State file to resume from.", valueName: "file"))
    package var stateIn: String?

    @Option(help: ArgumentHelp("State file to write at the end.", valueName: "file"))
    package var stateOut: String?

    package init() {}

    /// Throws before anything is computed if the state cannot be written.
    package func checkOutput() throws {
        if let stateOut { try Arguments.checkOutput(stateOut, replaceable: true) }
    }
}

/// The element type in which the engine without LibTorch keeps states.
package struct StateTypeOptions: ParsableArguments {
    @Option(
        name: .customLong("state-dtype"), parsing: .unconditional,
        help: ArgumentHelp(
            "Element type of the large parts of states: float32, bfloat16 or float16.",
            discussion:
                "Matrices of recurrences, and keys and values of attention, in the engine without LibTorch."),
        transform: { text in
            guard let type = StateElementType(rawValue: text) else {
                throw ValidationError(
                    "'\(text)' is no element type of states: "
                        + StateElementType.allCases.map(\.rawValue).joined(separator: ", "))
            }
            return type
        })
    package var stateType = StateElementType.float32

    package init() {}
}
