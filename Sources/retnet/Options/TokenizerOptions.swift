import ArgumentParser
import RetNetText

/// Which tokenizer a command uses.
struct TokenizerOptions: ParsableArguments {
    @Option(
        name: .customLong("tokenizer"),
        help: ArgumentHelp(
            "byte, byte-sentinel, a SentencePiece model file (.model), or a model folder with a tokenizer.",
            valueName: "name|path"))
    var name: String?

    /// The tokenizer that was named, or that of bytes.
    func load() throws -> any Tokenizer {
        try name.map { try TokenizerLoader.load(named: $0) } ?? ByteTokenizer()
    }

    /// The tokenizer that was named for a text-to-text model, with T5's sentinels; nil if none was.
    func loadWithSentinels() throws -> (any Tokenizer)? {
        try name.map {
            try TokenizerLoader.load(
                named: $0, sentinelCount: SentencePieceTokenizer.usualSentinelCount)
        }
    }
}
