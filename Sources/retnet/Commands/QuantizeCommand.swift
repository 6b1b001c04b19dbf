import ArgumentParser
import RetNetCommandLine

/// `retnet quantize`: model folders with weights of 8 and 4 bits.
struct QuantizeCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "quantize",
        abstract: "Round the weights of a model to 8 or 4 bits, for inference on processors.",
        discussion: QuantizeOptions.discussion)

    @OptionGroup var model: ModelOptions
    @OptionGroup var options: QuantizeOptions

    func run() throws { try options.run(path: model.modelPath()) }
}
