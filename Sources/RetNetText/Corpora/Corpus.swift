import Foundation
import RetNetStorage

/// The files of a text for training or evaluation, in a fixed order.
///
/// Files are UTF-8 text, plain or compressed with gzip, or token files; their first bytes determine which. A
/// byte-order mark is skipped. `tokenStream(tokenizer:cache:)` reads the rest.
public struct Corpus: Hashable, Sendable {
    /// The files, in the order of the paths; those of a folder are sorted by path.
    public let files: [CorpusFile]
    /// The separator of documents in text files; token files contain their documents.
    public let separator: DocumentSeparator

    /// Finds the files of a corpus; throws `TextError` or `StorageError`.
    ///
    /// A folder means all files in it and in the folders below that end in `.txt`, `.md`, `.gz` or `.rtok`,
    /// except hidden ones and compressed files of other kinds, such as `.csv.gz`.
    public init(paths: [String], separator: DocumentSeparator = .wholeFile) throws {
        try separator.validate()
        guard !paths.isEmpty else {
            throw TextError.invalidArgument(
                name: "paths", reason: "there are none; give at least one file or folder")
        }
        var files: [CorpusFile] = []
        for path in paths {
            var isFolder: ObjCBool = false
            if FileManager.default.fileExists(atPath: path, isDirectory: &isFolder), isFolder.boolValue {
                files += try Self.textFiles(of: path).map { try CorpusFile(path: $0) }
            } else {
                files.append(try CorpusFile(path: path))
            }
        }
        self.files = files
        self.separator = separator
    }

    /// Finds the files of a corpus of one file or folder; throws `TextError` or `StorageError`.
    public init(path: String, separator: DocumentSeparator = .wholeFile) throws {
        try self.init(paths: [path], separator: separator)
    }

    /// The size of all files in bytes, as stored.
    public var byteCount: Int { files.reduce(0) { $0 + $1.byteCount } }

    private static func textFiles(of folder: String) throws -> [String] {
        guard let enumerator = FileManager.default.enumerator(atPath: folder) else {
            throw StorageError.notFolder(path: folder)
        }
        var names: [String] = []
        while let name = enumerator.nextObject() as? String {
            let isHidden = name.split(separator: "/").contains { $0.hasPrefix(".") }
            if !isHidden, isText(name) { names.append(name) }
        }
        // Compared by bytes, so that no locale changes the order.
        names.sort { $0.utf8.lexicographicallyPrecedes($1.utf8) }
        let paths = names.map { folder.hasSuffix("/") ? folder + $0 : folder + "/" + $0 }
        let files = paths.filter { path in
            var isFolder: ObjCBool = false
            return FileManager.default.fileExists(atPath: path, isDirectory: &isFolder) && !isFolder.boolValue
        }
        guard !files.isEmpty else { throw TextError.noTextFiles(folder: folder) }
        return files
    }

    private static func isText(_ path: String) -> Bool {
        let name = path.split(separator: "/").last.map { $0.lowercased() } ?? ""
        if name.hasSuffix(".gz") {
            let inner = name.dropLast(3)
            return !inner.contains(".") || inner.hasSuffix(".txt") || inner.hasSuffix(".md")
        }
        return [".txt", ".md", ".rtok"].contains { name.hasSuffix($0) }
    }
}

/// One file of a corpus.
public struct CorpusFile: Hashable, Sendable {
    /// The content of a file, by its first bytes.
    public enum Content: String, Hashable, Sendable {
        /// UTF-8 text.
        case text
        /// UTF-8 text compressed with gzip.
        case compressedText
        /// A token file.
        case tokens
    }

    /// The path as given.
    public let path: String
    /// The content of the file.
    public let content: Content
    /// The size of the file in bytes, as stored.
    public let byteCount: Int

    /// Reads the first bytes of a file; throws `StorageError` if it cannot be read.
    init(path: String) throws {
        let file = try MappedFile(path: path)
        self.path = path
        byteCount = file.byteCount
        content = file.withUnsafeBytes { bytes in
            if Gzip.isGzip(bytes) { return .compressedText }
            return bytes.starts(with: TokenFile.magic) ? .tokens : .text
        }
    }
}
