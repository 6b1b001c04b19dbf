import ArgumentParser
import Foundation
import RetNetCheckpoints
import RetNetCommandLine
import RetNetReporting
import RetNetSettings
import RetNetText

/// `retnet tokenize`: conversion of text to a token file.
struct TokenizeCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "tokenize",
        abstract: "Convert text to a token file, which loads instantly and keeps document boundaries.",
        discussion: """
            Token files are accepted wherever text is. Without --tokenizer or --model, tokens are the bytes of the \
            text (the built-in byte tokenizer).
            """)

    @OptionGroup var data: DataOptions

    @Option(name: .shortAndLong, help: ArgumentHelp("Token file to write.", valueName: "file"))
    var output: String

    @Option(help: ArgumentHelp("Model whose tokenizer is used.", valueName: "dir"))
    var model: String?

    @OptionGroup var choice: TokenizerOptions

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp(
            "Text that spells a special token, such as <|endoftext|>: text (encoded as any other) or recognized.",
            valueName: "choice"), transform: Self.choice)
    var specialTokens = SpecialTokensInText.text

    @Flag(help: "Print one JSON object.")
    var json = false

    private static func choice(_ text: String) throws -> SpecialTokensInText {
        guard let choice = SpecialTokensInText(rawValue: text) else {
            throw ValidationError("'\(text)' is not text or recognized")
        }
        return choice
    }

    func validate() throws {
        if model != nil, choice.name != nil { throw ValidationError("give --tokenizer or --model, not both") }
    }

    func run() throws {
        try Arguments.checkOutput(output)
        let tokenizer: any Tokenizer =
            try model.map { try TokenizerLoader.load(folder: ModelOptions.modelPath($0)) } ?? choice.load()
        if specialTokens == .recognized {
            _ = try TokenizerCommand.recognizing(
                tokenizer, named: model ?? choice.name ?? "byte", option: "--special-tokens recognized")
        }
        let corpus = try data.corpus()
        try corpus.writeTokenFile(
            tokenizer: tokenizer, to: output, replacing: false, specialTokens: specialTokens)
        let file = try TokenFile(path: output)
        if file.textByteCount == nil {
            Console.warn(
                "a token file of an earlier version in the data does not keep the number of bytes of its text, nor does"
                    + " '\(output)': figures per byte need the text itself")
        }
        guard json else {
            let bytes = file.textByteCount.map { " of \(Format.grouped($0)) bytes of text" } ?? ""
            Console.result(
                "\(Format.grouped(file.tokenCount)) tokens\(bytes) in \(Format.grouped(file.documentCount)) documents"
                    + " (\(tokenizer.identity), \(file.bytesPerToken) bytes per token) written to '\(output)'"
            )
            return
        }
        try Console.json([
            "output": .string(output), "tokens": .int(file.tokenCount), "documents": .int(file.documentCount),
            "bytes_per_token": .int(file.bytesPerToken), "vocabulary_size": .int(file.vocabularySize),
            "tokenizer": .string(tokenizer.identity),
            "source_bytes": file.textByteCount.map { .int($0) } ?? .null,
        ])
    }
}
