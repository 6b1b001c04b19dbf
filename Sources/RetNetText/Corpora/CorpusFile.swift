import RetNetStorage

/// One file of a corpus.
public struct CorpusFile: Hashable, Sendable {
    /// What a file holds, found from its first bytes.
    public enum Content: String, Hashable, Sendable {
        /// UTF-8 text.
        case text
        /// UTF-8 text compressed by gzip.
        case compressedText
        /// A token file.
        case tokens
    }

    /// Where the file is.
    public let path: String
    /// What the file holds.
    public let content: Content
    /// The size of the file in bytes, as stored.
    public let byteCount: Int

    /// Looks at the file at `path`; throws `StorageError` if it cannot be read.
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
