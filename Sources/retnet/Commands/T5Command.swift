import ArgumentParser

/// `retnet t5`: training and measuring T5 models, and their raw outputs for comparison with other implementations.
struct T5Command: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "t5",
        abstract: "Train, measure and run T5 encoder-decoders.",
        discussion: """
            Models are folders in the form of Hugging Face's checkpoints. To turn text into text, use \
            `retnet generate`; to measure speed, `retnet bench t5`.
            """,
        subcommands: [
            T5TrainCommand.self, T5FinetuneCommand.self, T5EvalCommand.self, T5CreateCommand.self,
            T5ConvertCommand.self, T5LogitsCommand.self, T5GenerateCommand.self,
        ])
}
