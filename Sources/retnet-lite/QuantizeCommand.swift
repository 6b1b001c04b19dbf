import ArgumentParser
import RetNetCommandLine

/// `retnet-lite quantize`: model folders with weights of 8 and 4 bits.
struct QuantizeCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "quantize", abstract: "Round the weights of a model to 8 or 4 bits.",
        discussion: QuantizeOptions.discussion)

    @OptionGroup var model: FolderOptions
    @OptionGroup var options: QuantizeOptions

    func run() throws { try options.run(path: model.path()) }
}
