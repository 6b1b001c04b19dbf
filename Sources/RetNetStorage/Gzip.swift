import Foundation

/// Compression in the gzip (RFC 1952) and zlib (RFC 1950) formats.
public enum Gzip {
    /// Whether the bytes begin like gzip data.
    public static func isGzip(_ bytes: UnsafeRawBufferPointer) -> Bool {
        bytes.count >= 2 && bytes[0] == 0x1F && bytes[1] == 0x8B
    }

    /// Whether the data begins like gzip data.
    public static func isGzip(_ data: Data) -> Bool {
        data.withUnsafeBytes { isGzip($0) }
    }

    /// Whether the file begins like gzip data; throws `StorageError` if it cannot be read.
    public static func isGzip(file path: String) throws -> Bool {
        let source = try FileSource(path: path)
        guard let bytes = try source.next() else { return false }
        return isGzip(bytes)
    }

    /// Expands a gzip file piece by piece, all its members one after the other.
    ///
    /// Each piece is valid only during the call of `consume`, and is handed over before the checksum at
    /// the end of its member is known: treat the result as good only once this returns. Zero bytes after
    /// the last member are ignored. Throws `StorageError` if the file is unreadable, corrupt, truncated, or
    /// expands to more than `maximumByteCount` bytes, which are checked before they are handed over.
    public static func decompress(
        file path: String, maximumByteCount: Int? = nil, _ consume: (UnsafeRawBufferPointer) throws -> Void
    ) throws {
        let source = try FileSource(path: path)
        let inflater = try Inflater(format: .gzip, maximumByteCount: maximumByteCount, path: path)
        while let piece = try source.next() { try inflater.feed(piece, consume) }
        try inflater.finish()
    }

    /// Expands gzip data in memory; throws like the expansion of files.
    public static func decompress(_ data: Data, maximumByteCount: Int? = nil) throws -> Data {
        try expand(data, format: .gzip, maximumByteCount: maximumByteCount)
    }

    /// Compresses data into one gzip member without name or time, so that equal data gives equal bytes.
    public static func compress(_ data: Data) -> Data {
        Deflater.compress(data, format: .gzip)
    }

    /// Compresses data in the zlib format, as PNG needs it.
    public static func deflate(_ data: Data) -> Data {
        Deflater.compress(data, format: .zlib)
    }

    /// Expands data in the zlib format; throws like the expansion of files.
    public static func inflate(_ data: Data, maximumByteCount: Int? = nil) throws -> Data {
        try expand(data, format: .zlib, maximumByteCount: maximumByteCount)
    }

    private static func expand(
        _ data: Data, format: CompressionFormat, maximumByteCount: Int?
    ) throws -> Data {
        let inflater = try Inflater(
            format: format, maximumByteCount: maximumByteCount, path: "The compressed data")
        var result = Data()
        try data.withUnsafeBytes { bytes in
            try inflater.feed(bytes) { result.append(contentsOf: $0) }
        }
        try inflater.finish()
        return result
    }
}
