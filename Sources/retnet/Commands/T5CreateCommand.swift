import ArgumentParser
import Foundation
import RetNetCheckpoints
import RetNetLayers
import RetNetModels
import RetNetSettings
import RetNetText
import RetNetTorch

/// `retnet t5 create`: a T5 with T5's first values.
struct T5CreateCommand: ParsableCommand, ComputingCommand {
    static let configuration = CommandConfiguration(
        commandName: "create",
        abstract: "Write a folder with an untrained T5.",
        discussion: "The result can be read by Transformers too.")

    @Option(help: ArgumentHelp("A preset of T5; `retnet presets` lists them.", valueName: "name"))
    var preset: String?
    @Option(help: ArgumentHelp("A YAML or JSON file with the settings of a T5.", valueName: "file"))
    var config: String?
    @Option(name: .shortAndLong, help: ArgumentHelp("The folder to write.", valueName: "dir"))
    var output: String
    @Option(help: "The seed of the first values.")
    var seed: UInt64 = 0
    @Flag(help: "Add the tokenizer of bytes whose end token the model has: with sentinels where that is 1.")
    var bytes = false
    @OptionGroup var choice: TokenizerOptions

    func validate() throws {
        if bytes, choice.name != nil { throw ValidationError("give --bytes or --tokenizer, not both") }
        if (preset == nil) == (config == nil) { throw ValidationError("give either --preset or --config") }
        if let preset {
            do { _ = try T5Preset.named(preset) } catch { throw ValidationError("\(error)") }
        }
    }

    func run() throws {
        try Arguments.checkOutput(output)
        let configuration = try architecture()
        let tokenizer: (any Tokenizer)? =
            bytes ? try byteTokenizer(configuration) : try choice.loadWithSentinels()
        if let tokenizer, tokenizer.vocabularySize > configuration.vocabularySize {
            throw CommandError(
                "the tokenizer needs a vocabulary of \(tokenizer.vocabularySize), but the model has"
                    + " \(configuration.vocabularySize)")
        }
        let store = ParameterStore(source: .random(seed: seed))
        let model = try withoutGradients {
            try T5Model(configuration, parameters: store, computeType: .float32)
        }
        try T5Folder.save(model, tokenizer: tokenizer, to: output)
        Console.note("\(store.parameterCount) parameters written to \(output)")
    }

    private func byteTokenizer(_ configuration: T5Configuration) throws -> any Tokenizer {
        let known: [any Tokenizer] = [SentinelByteTokenizer(), ByteTokenizer()]
        guard let tokenizer = known.first(where: { $0.endToken.map { Int($0) } == configuration.endToken })
        else {
            throw CommandError(
                "no tokenizer of bytes ends texts with \(configuration.endToken), as the model does: set end_token"
                    + " to \(known.compactMap(\.endToken).map { "\($0)" }.joined(separator: " or "))")
        }
        guard tokenizer.vocabularySize <= configuration.vocabularySize else {
            throw CommandError(
                "the tokenizer of bytes needs a vocabulary of \(tokenizer.vocabularySize), but the model has"
                    + " \(configuration.vocabularySize)")
        }
        return tokenizer
    }

    private func architecture() throws -> T5Configuration {
        guard let config else { return try T5Preset.named(preset ?? "").configuration }
        let document = try SettingsDocument(contentsOf: URL(fileURLWithPath: config))
        let reader = document.reader
        let configuration = T5Configuration(reading: reader)
        try reader.finish()
        return configuration
    }
}
