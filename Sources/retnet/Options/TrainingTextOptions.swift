import ArgumentParser
import RetNetCheckpoints
import RetNetModels
import RetNetSettings
import RetNetText

/// The text of a training run and its tokenizer.
struct TrainingTextOptions: ParsableArguments {
    @Option(
        parsing: .upToNextOption,
        help: ArgumentHelp(
            "Files or folders of UTF-8 text, plain or gzip, or token files.", valueName: "path"))
    var data: [String] = []

    @Option(
        name: .customLong("validation-data"), parsing: .upToNextOption,
        help: ArgumentHelp(
            "Text that is never trained on (default: a hundredth of --data).", valueName: "path"
        ))
    var validationData: [String] = []

    @Option(
        name: .customLong("document-separator"),
        parsing: .unconditional,
        help: "Separator of the documents in a file: file (none), blank_lines:N or text:SEPARATOR.")
    var separator: String?

    @OptionGroup var tokenizer: TokenizerOptions

    /// The options as settings.
    var assignments: [SettingsAssignment] {
        var result: [SettingsAssignment] = []
        if !data.isEmpty { result.append(SettingsAssignment("data.paths", .array(data.map { .string($0) }))) }
        if !validationData.isEmpty {
            result.append(
                SettingsAssignment("data.validation_paths", .array(validationData.map { .string($0) })))
        }
        if let separator { result.append(SettingsAssignment("data.document_separator", .string(separator))) }
        if let name = tokenizer.name { result.append(SettingsAssignment("data.tokenizer", .string(name))) }
        return result
    }

    /// Returns a preset as settings, with the vocabulary that the tokenizer needs: presets are made for bytes.
    func assignments(preset: String, vocabularySize: Int, tokenizer: (any Tokenizer)?) -> [SettingsAssignment]
    {
        let named = SettingsAssignment("model.preset", .string(preset))
        guard let needed = tokenizer?.vocabularySize, needed > vocabularySize else { return [named] }
        return [named, SettingsAssignment("model.vocabulary_size", .int(needed))]
    }

    /// Returns a preset of T5 as settings, with the size and the special tokens of the tokenizer.
    func assignments(_ preset: T5Preset, tokenizer: (any Tokenizer)?) -> [SettingsAssignment] {
        let named = SettingsAssignment("model.preset", .string(preset.name))
        guard let tokenizer else { return [named] }
        let (plain, fitted) = (preset.configuration, preset.configuration.fitted(to: tokenizer))
        let settings: [(String, KeyPath<T5Configuration, Int>)] = [
            ("vocabulary_size", \.vocabularySize), ("end_token", \.endToken),
            ("padding_token", \.paddingToken), ("start_token", \.startToken),
        ]
        return [named]
            + settings.filter { plain[keyPath: $0.1] != fitted[keyPath: $0.1] }
            .map { SettingsAssignment("model.\($0.0)", .int(fitted[keyPath: $0.1])) }
    }
}
