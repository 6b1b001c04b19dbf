import ArgumentParser

/// `retnet t5`: T5 models by token ids, for comparison with other implementations.
struct T5Command: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "t5",
        abstract: "Run T5 encoder-decoders on token ids.",
        discussion: """
            Models are folders in the form of Hugging Face's checkpoints. To turn text into text, use \
            `retnet generate`; to measure speed, `retnet bench t5`.
            """,
        subcommands: [
            T5CreateCommand.self, T5ConvertCommand.self, T5LogitsCommand.self, T5GenerateCommand.self,
        ])
}
