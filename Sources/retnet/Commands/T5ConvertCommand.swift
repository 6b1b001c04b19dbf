import ArgumentParser
import RetNetCheckpoints
import RetNetTorch

/// `retnet t5 convert`: reads a folder strictly and writes it again.
struct T5ConvertCommand: ParsableCommand, ComputingCommand {
    static let configuration = CommandConfiguration(
        commandName: "convert",
        abstract: "Check a folder with a T5 model and write it again, whole or not at all.",
        discussion: "Everything that does not fit is reported. The result can be read by Transformers too.")

    @Option(help: ArgumentHelp("A folder with a T5 model.", valueName: "dir"))
    var model: String
    @OptionGroup var device: DeviceOptions
    @Option(name: .shortAndLong, help: ArgumentHelp("The folder to write.", valueName: "dir"))
    var output: String

    func run() throws {
        try Arguments.checkOutput(output)
        let (_, type) = try device.prepare(.exact)
        let stored = device.elementTypeName == "auto" ? nil : type
        let loaded = try T5Folder.load(ModelOptions.modelPath(model), elementType: stored)
        for name in loaded.ignoredTensors { Console.note("'\(name)' is not needed and was left out") }
        try T5Folder.save(
            loaded.model, tokenizer: try? loaded.tokenizer, to: output,
            generationDefaults: loaded.generationDefaults)
        Console.note("\(loaded.model.parameters.parameterCount) parameters written to \(output)")
    }
}
