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
    /// except hidden ones and compressed files of other kinds, such as `.csv.gz`. Symbolic links are followed;
    /// ``remarks(on:)`` names what is left out. Text may also come from a pipe, whose bytes are kept in a temporary file.
    public init(paths: [String], separator: DocumentSeparator = .wholeFile) throws {
        try separator.validate()
        guard !paths.isEmpty else {
            throw TextError.invalidArgument(
                name: "paths", reason: "there are none; give at least one file or folder")
        }
        files = try paths.flatMap { path in
            guard Self.isFolder(path) else { return [try CorpusFile(path: path)] }
            let names = try CorpusFolder(path).tree.files
            guard !names.isEmpty else { throw TextError.noTextFiles(folder: path) }
            return try names.map { try CorpusFile(path: path.hasSuffix("/") ? path + $0 : path + "/" + $0) }
        }
        self.separator = separator
    }

    /// Finds the files of a corpus of one file or folder; throws `TextError` or `StorageError`.
    public init(path: String, separator: DocumentSeparator = .wholeFile) throws {
        try self.init(paths: [path], separator: separator)
    }

    /// The size of all files in bytes, as stored.
    public var byteCount: Int { files.reduce(0) { $0 + $1.byteCount } }

    /// Returns a sentence about each kind of entry that is left out of the folders among some paths.
    ///
    /// Throws `StorageError` if a folder cannot be listed.
    public static func remarks(on paths: [String]) throws -> [String] {
        try paths.filter(isFolder).flatMap { try CorpusFolder($0).remarks }
    }

    private static func isFolder(_ path: String) -> Bool {
        var isFolder: ObjCBool = false
        return FileManager.default.fileExists(atPath: path, isDirectory: &isFolder) && isFolder.boolValue
    }
}

/// A folder of text files.
struct CorpusFolder {
    let path: String
    let tree: FolderTree

    init(_ path: String) throws {
        self.path = path
        tree = try FolderTree(path, isWanted: Self.isText)
    }

    /// A sentence about each kind of entry that is not read.
    var remarks: [String] {
        FolderTree.Reason.allCases.compactMap { reason in
            let paths = tree.skipped.filter { $0.reason == reason }.map(\.path)
            guard !paths.isEmpty else { return nil }
            let shown = paths.prefix(3).map { "'\($0)'" }.joined(separator: ", ")
            let rest = paths.count > 3 ? " and \(paths.count - 3) more" : ""
            return "in '\(path)' \(Self.text(of: reason)): \(shown)\(rest)"
        }
    }

    private static func text(of reason: FolderTree.Reason) -> String {
        switch reason {
        case .hidden: "hidden entries are not read"
        case .otherName:
            "files are not read whose names are not those of text (.txt, .md, .gz, .rtok); to read them, give them by"
                + " name"
        case .loop: "links are not followed that lead back to a folder above them"
        case .brokenLink: "links lead to nothing"
        case .notFile: "pipes and devices are not read; to read them, give them by name"
        case .unreadable: "folders cannot be listed; check their permissions"
        }
    }

    private static func isText(_ name: String) -> Bool {
        let name = name.lowercased()
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
    /// The bytes of a pipe, which cannot be read again; nil for files.
    private let copy: MappedFile?

    /// Reads the first bytes of a file, or a pipe to its end; throws `StorageError` if it cannot be read.
    init(path: String) throws {
        let file = try MappedFile(reading: path)
        self.path = path
        byteCount = file.byteCount
        content = file.withUnsafeBytes { bytes in
            if Gzip.isGzip(bytes) { return .compressedText }
            return bytes.starts(with: TokenFile.magic) ? .tokens : .text
        }
        copy = file.isCopy ? file : nil
        // Token files are mapped by their path.
        if file.isCopy, content == .tokens { throw StorageError.notRegularFile(path: path) }
    }

    /// True for the bytes of a pipe.
    var isCopy: Bool { copy != nil }

    /// Returns the bytes of the file; throws `StorageError` if it cannot be read.
    func map() throws -> MappedFile { try copy ?? MappedFile(path: path) }

    /// Passes the bytes on, decompressed in pieces if they are compressed; throws `StorageError`.
    func read(_ consume: (UnsafeRawBufferPointer) throws -> Void) throws {
        guard content == .compressedText else {
            return try map().withUnsafeBytes { bytes in
                for start in stride(from: 0, to: bytes.count, by: Self.pieceByteCount) {
                    let end = min(start + Self.pieceByteCount, bytes.count)
                    try consume(UnsafeRawBufferPointer(rebasing: bytes[start..<end]))
                }
            }
        }
        guard let copy else { return try Gzip.decompress(file: path, consume) }
        try copy.withUnsafeBytes { try Gzip.decompress($0, of: path, consume) }
    }

    private static let pieceByteCount = 1 << 20

    /// Compares path, content and size.
    public static func == (left: CorpusFile, right: CorpusFile) -> Bool {
        left.path == right.path && left.content == right.content && left.byteCount == right.byteCount
    }

    /// Hashes path, content and size.
    public func hash(into hasher: inout Hasher) {
        hasher.combine(path)
        hasher.combine(content)
        hasher.combine(byteCount)
    }
}
