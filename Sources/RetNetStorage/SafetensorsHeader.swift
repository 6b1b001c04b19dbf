/// The header of a safetensors file, fully checked.
///
/// A parsed header guarantees that the tensors' byte ranges tile the file's data exactly, that each
/// range fits its shape and type, and that all names differ. Names are compared as Swift texts, so two
/// that differ only in Unicode composition count as equal and are refused.
public struct SafetensorsHeader: Equatable, Sendable {
    /// The largest permitted header, in bytes, as in the reference implementation.
    public static let maximumByteCount = 100_000_000
    /// The tensors in the order of their data.
    public let entries: [SafetensorsEntry]
    /// The texts of `__metadata__`.
    public let metadata: [String: String]
    /// Where the tensors' data begins in the file.
    public let dataOffset: Int

    /// Parses the header at the start of a file.
    ///
    /// `bytes` are the file's first bytes, all or at least those of the header; `path` is for messages.
    /// Throws `StorageError.invalidSafetensors` with the reason.
    public static func parse(
        _ bytes: UnsafeRawBufferPointer, fileByteCount: Int, path: String
    ) throws -> SafetensorsHeader {
        do {
            return try SafetensorsHeaderParser(bytes, fileByteCount: fileByteCount).parse()
        } catch let fault as SafetensorsFault {
            throw StorageError.invalidSafetensors(path: path, fault: fault)
        }
    }
}
