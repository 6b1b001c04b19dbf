import ArgumentParser
import Foundation
import RetNetCommandLine
import RetNetReporting
import RetNetSettings
import RetNetStorage
import RetNetText

extension TokenizerRecipe.Kind: ExpressibleByArgument {}

/// `retnet tokenizer train`: a tokenizer of its own for a text.
struct TokenizerTrainCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "train",
        abstract: "Train a tokenizer on text, and write it as tokenizer.json.",
        discussion: """
            Byte pairs (bpe) or a unigram model over bytes: the 256 bytes are tokens, so every text can be encoded \
            and is decoded to itself. The folder has the files tokenizer.json and tokenizer_config.json, which Hugging \
            Face's tokenizers and Transformers read too. The same text gives the same tokenizer. Training runs make a \
            tokenizer of their own training text with --tokenizer train:bpe:N.
            """)

    /// The special tokens in front of all others.
    enum Layout: String, CaseIterable, ExpressibleByArgument {
        /// `<|endoftext|>` and `<|padding|>`.
        case lm
        /// `<pad>`, `</s>` and a hundred sentinels.
        case t5
        /// None.
        case none

        var tokens: SpecialTokenLayout {
            switch self {
            case .lm: .languageModel
            case .t5: .textToText()
            case .none: SpecialTokenLayout()
            }
        }
    }

    @Option(parsing: .unconditional, help: "Kind of tokenizer.")
    var kind: TokenizerRecipe.Kind = .bytePairs

    @Option(
        parsing: .unconditional, help: "Number of tokens, special ones included.",
        transform: Arguments.positive)
    var vocabulary: Int

    @OptionGroup var data: DataOptions

    @Option(name: .shortAndLong, help: ArgumentHelp("Folder to write; it must not exist.", valueName: "dir"))
    var out: String

    @Option(
        name: .customLong("minimum-frequency"), parsing: .unconditional,
        help: "Times that a pair of pieces must occur to become a piece of bpe.",
        transform: Arguments.positive)
    var minimumFrequency = 2

    @Option(
        parsing: .unconditional,
        help:
            "Special tokens: lm (<|endoftext|> before each document, <|padding|>), t5 (<pad>, </s>, 100 sentinels) or none."
    )
    var special: Layout = .lm

    @Option(
        name: .customLong("special-token"), parsing: .unconditionalSingleValue,
        help: ArgumentHelp("Another special token; may be given several times.", valueName: "text"))
    var specialTokens: [String] = []

    @Flag(help: "Print one JSON object.")
    var json = false

    func run() throws {
        try Arguments.checkOutput(out)
        var layout = special.tokens
        for name in specialTokens where !layout.names.contains(name) { layout.names.append(name) }
        let trainer = try TokenizerTrainer(
            TokenizerRecipe(kind: kind, vocabularySize: vocabulary), specialTokens: layout,
            minimumFrequency: minimumFrequency)
        let corpus = try data.corpus()
        let start = ContinuousClock.now
        let reading = ProgressBar(title: "reading", total: nil)
        try trainer.read(corpus) { progress in
            guard case .reading(let byteCount) = progress else { return }
            reading.update(step: byteCount >> 20, metrics: [ProgressMetric(Format.bytes(byteCount))])
        }
        reading.finish()
        let learning = ProgressBar(title: "learning", total: 100)
        let tokenizer = try trainer.tokenizer { progress in
            guard case .learning(let fraction) = progress, fraction.isFinite else { return }
            learning.update(step: Int(fraction * 100))
        }
        learning.finish()
        let seconds = (ContinuousClock.now - start) / .seconds(1)
        if tokenizer.vocabularySize < vocabulary {
            Console.warn(
                "the text gives only \(tokenizer.vocabularySize) of \(vocabulary) tokens: use more text"
                    + (kind == .bytePairs ? ", fewer tokens or --minimum-frequency 1" : " or fewer tokens"))
        }
        try AtomicFolder.create(at: out) { try tokenizer.save(to: $0) }
        try report(trainer, tokenizer, seconds: seconds)
    }

    private func report(_ trainer: TokenizerTrainer, _ tokenizer: any Tokenizer, seconds: Double) throws {
        let count = trainer.tokenCount(with: tokenizer)
        let rate = Double(trainer.byteCount) / Double(max(1, count))
        guard json else {
            return Console.result(
                "\(Format.grouped(tokenizer.vocabularySize)) tokens, \(Format.fixed(rate, decimals: 3)) bytes per token on"
                    + " the \(Format.grouped(trainer.byteCount)) bytes of text, written to '\(out)'; read and trained in "
                    + Format.duration(seconds: seconds))
        }
        try Console.json([
            "output": .string(out), "kind": .string(kind.rawValue),
            "vocabulary_size": .int(tokenizer.vocabularySize), "tokenizer": .string(tokenizer.identity),
            "text_bytes": .int(trainer.byteCount), "text_tokens": .int(count),
            "bytes_per_token": .double(rate), "seconds": .double(seconds),
        ])
    }
}
