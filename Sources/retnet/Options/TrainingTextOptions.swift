import ArgumentParser
import RetNetSettings

/// The text that a run learns from, and how it is cut into tokens.
struct TrainingTextOptions: ParsableArguments {
    @Option(
        parsing: .upToNextOption,
        help: ArgumentHelp(
            "Files or folders of UTF-8 text, plain or gzip, or token files.", valueName: "path"))
    var data: [String] = []

    @Option(
        name: .customLong("validation-data"), parsing: .upToNextOption,
        help: ArgumentHelp(
            "Text that is never trained on (default: a hundredth of --data is kept apart).", valueName: "path"
        ))
    var validationData: [String] = []

    @Option(
        name: .customLong("document-separator"),
        help: "What separates documents in a file: file (nothing), blank_lines:N or text:SEPARATOR.")
    var separator: String?

    @OptionGroup var tokenizer: TokenizerOptions

    /// What is given, under the names of the setting `data`.
    var settings: SettingsObject {
        var result = SettingsObject()
        if !data.isEmpty { result["paths"] = .array(data.map { .string($0) }) }
        if !validationData.isEmpty { result["validation_paths"] = .array(validationData.map { .string($0) }) }
        if let separator { result["document_separator"] = .string(separator) }
        if let name = tokenizer.name { result["tokenizer"] = .string(name) }
        return result
    }
}
