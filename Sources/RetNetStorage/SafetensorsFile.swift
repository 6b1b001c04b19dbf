/// A safetensors file mapped into memory, its header fully checked.
public final class SafetensorsFile: Sendable {
    /// The path as given.
    public let path: String
    /// The checked header.
    public let header: SafetensorsHeader
    private let file: MappedFile
    private let indices: [String: Int]

    /// Opens the file at `path`; throws `StorageError`.
    public init(path: String) throws {
        let file = try MappedFile(path: path)
        let header = try file.withUnsafeBytes {
            try SafetensorsHeader.parse($0, fileByteCount: file.byteCount, path: path)
        }
        var indices: [String: Int] = [:]
        indices.reserveCapacity(header.entries.count)
        for (index, entry) in header.entries.enumerated() { indices[entry.name] = index }
        self.path = path
        self.file = file
        self.header = header
        self.indices = indices
    }

    /// The tensors in the order of their data.
    public var entries: [SafetensorsEntry] { header.entries }

    /// The texts of `__metadata__`.
    public var metadata: [String: String] { header.metadata }

    /// The size of the whole file in bytes.
    public var byteCount: Int { file.byteCount }

    /// The tensor of this name, or `nil`.
    public func entry(named name: String) -> SafetensorsEntry? {
        indices[name].map { header.entries[$0] }
    }

    /// Calls `body` with a tensor's bytes, little-endian, possibly unaligned, valid only during the call.
    ///
    /// Throws `StorageError.unknownTensor` or what `body` throws.
    public func withUnsafeBytes<R>(
        of name: String, _ body: (UnsafeRawBufferPointer) throws -> R
    ) throws -> R {
        guard let entry = entry(named: name) else {
            throw StorageError.unknownTensor(name: name, path: path)
        }
        return try file.withUnsafeBytes { bytes in
            // The header's check guarantees that the range lies within the file.
            try body(UnsafeRawBufferPointer(rebasing: bytes[entry.byteRange]))
        }
    }
}
