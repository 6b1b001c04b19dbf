import ArgumentParser
import RetNetSampling
import RetNetSettings

/// The texts that generation continues.
package struct PromptOptions: ParsableArguments {
    @Option(parsing: .unconditionalSingleValue, help: "Text to continue; may be given several times.")
    package var prompt: [String] = []

    @Option(help: ArgumentHelp("UTF-8 file to continue; may be given several times.", valueName: "file"))
    package var promptFile: [String] = []

    @Argument(help: ArgumentHelp("Read the prompt from standard input.", valueName: "-"))
    package var standardInput: String?

    package init() {}

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

extension GenerationResult {
    /// Prints the texts of a batch under their numbers, with their prompts if `echo` says so.
    package static func printBatch(_ results: [GenerationResult], prompts: [String], echo: Bool) {
        for (index, result) in results.enumerated() {
            Console.result("=== \(index + 1) of \(results.count) ===")
            Console.result((echo ? prompts[index] : "") + result.text)
        }
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
