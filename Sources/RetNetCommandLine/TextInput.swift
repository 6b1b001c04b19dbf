import ArgumentParser
import Foundation
import RetNetStorage
import RetNetText

/// Files of text and the separator of their documents.
package struct DataOptions: ParsableArguments {
    @Option(
        parsing: .upToNextOption,
        help: ArgumentHelp(
            "Files or folders of UTF-8 text, plain or gzip, or token files.", valueName: "path"))
    package var data: [String]

    @Option(
        name: .customLong("document-separator"),
        parsing: .unconditional,
        help: "Separator of documents in a file: file (none), blank_lines:N or text:SEPARATOR.",
        transform: Self.separator)
    package var separator: DocumentSeparator = .wholeFile

    package init() {}

    package func validate() throws {
        if data.isEmpty { throw ValidationError("--data needs at least one path") }
    }

    /// Returns the corpus of the files, with a warning about what is left out of folders.
    package func corpus() throws -> Corpus { try Self.corpus(data, separator: separator) }

    /// Returns the corpus of some files, with a warning about what is left out of folders.
    package static func corpus(_ data: [String], separator: DocumentSeparator) throws -> Corpus {
        for remark in try Corpus.remarks(on: data) { Console.warn(remark) }
        return try Corpus(paths: data, separator: separator)
    }

    /// Parses the separator of documents.
    package static func separator(_ text: String) throws -> DocumentSeparator {
        if let separator = DocumentSeparator(text) { return separator }
        throw ValidationError("'\(text)' is not file, blank_lines:N or text:SEPARATOR")
    }
}

/// Complete inputs of commands: files, pipes and devices; `-` is standard input.
package enum TextInput {
    /// Reads the bytes of a file or of standard input.
    package static func data(_ path: String) throws -> Data {
        if path == "-" { return try FileHandle.standardInput.readToEnd() ?? Data() }
        return try MappedFile(reading: path).withUnsafeBytes { Data($0) }
    }

    /// Reads the text of a file or of standard input, which must be UTF-8.
    package static func text(_ path: String) throws -> String {
        let data = try data(path)
        guard let text = String(validatingUTF8Data: data) else {
            let offset = data.withUnsafeBytes { UTF8Validator.firstInvalidOffset(in: $0) } ?? 0
            throw CommandError(
                "\(path == "-" ? "standard input" : "'\(path)'") is not UTF-8 text: the first invalid sequence starts at "
                    + "byte \(offset); convert it to UTF-8")
        }
        return text
    }
}

extension String {
    /// Creates the text of UTF-8 bytes; nil if they are not valid.
    package init?(validatingUTF8Data data: Data) {
        self.init(data: data, encoding: .utf8)
    }
}
