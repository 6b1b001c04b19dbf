import ArgumentParser
import Foundation
import RetNetCheckpoints
import RetNetText
import RetNetTorch
import RetNetTraining

/// The trained model that a command works on.
struct ModelOptions: ParsableArguments {
    @Option(help: ArgumentHelp("A model folder, a checkpoint, or the folder of a run.", valueName: "dir"))
    var model: String

    /// Loads the model onto the device, kept and computed in one element type.
    func load(on device: Device, as type: ElementType) throws -> LoadedModel {
        try ModelFolder.load(modelPath(), elementType: type, device: device, computeType: type)
    }

    /// The model folder that the option means.
    func modelPath() throws -> String { try Self.modelPath(model) }

    /// The model folder that a path means: itself, or the newest whole checkpoint of a run.
    static func modelPath(_ path: String) throws -> String {
        guard FileManager.default.fileExists(atPath: path) else {
            throw CommandError("there is no model at '\(path)': check the path")
        }
        return try RunFolder.modelPath(for: path) { Console.warn($0) }
    }
}

/// A text file or several, with how they are cut into documents.
struct DataOptions: ParsableArguments {
    @Option(
        parsing: .upToNextOption,
        help: ArgumentHelp(
            "Files or folders of UTF-8 text, plain or gzip, or token files.", valueName: "path"))
    var data: [String]

    @Option(
        name: .customLong("document-separator"),
        help: "What separates documents in a file: file (nothing), blank_lines:N or text:SEPARATOR.",
        transform: Self.separator)
    var separator: DocumentSeparator = .wholeFile

    func validate() throws {
        if data.isEmpty { throw ValidationError("--data needs at least one path") }
    }

    /// The files that the options name.
    func corpus() throws -> Corpus { try Corpus(paths: data, separator: separator) }

    private static func separator(_ text: String) throws -> DocumentSeparator {
        if let separator = DocumentSeparator(text) { return separator }
        throw ValidationError("'\(text)' is not file, blank_lines:N or text:SEPARATOR")
    }
}
