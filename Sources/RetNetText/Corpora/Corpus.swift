import Foundation
import RetNetStorage

/// The files of a training or evaluation text, in a fixed order.
///
/// Files are UTF-8 text, plain or compressed by gzip, or token files; which of these is found from their
/// first bytes. A byte-order mark is skipped. Nothing is read beyond that until tokens are asked for.
public struct Corpus: Hashable, Sendable {
    /// The files, in the order of the paths; those of a folder are sorted by path.
    public let files: [CorpusFile]
    /// How text files are cut into documents; token files know their documents.
    public let separator: DocumentSeparator

    /// Finds the files of a corpus; throws `TextError` or `StorageError`.
    ///
    /// A folder stands for all files in it and in the folders below that end in `.txt`, `.md`, `.gz` or
    /// `.rtok`, except hidden ones and compressed files of other kinds, such as `.csv.gz`.
    public init(paths: [String], separator: DocumentSeparator = .wholeFile) throws {
        try separator.validate()
        guard !paths.isEmpty else {
            throw TextError.invalidArgument(name: "paths", reason: "no file or folder is given")
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

    /// The corpus of one file or folder.
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
