import CRetNetZlib
import Foundation

/// CRC-32 checksums, as in zlib, gzip and PNG (polynomial 0xEDB88320).
public enum Checksum {
    /// The CRC-32 of a buffer, continuing from `previous` when the data comes in pieces.
    public static func crc32(_ bytes: UnsafeRawBufferPointer, continuing previous: UInt32 = 0) -> UInt32 {
        guard let base = bytes.baseAddress, !bytes.isEmpty else { return previous }
        let value = crc32_z(uLong(previous), base.assumingMemoryBound(to: Bytef.self), z_size_t(bytes.count))
        return UInt32(truncatingIfNeeded: value)
    }

    /// The CRC-32 of data, continuing from `previous` when the data comes in pieces.
    public static func crc32(_ data: Data, continuing previous: UInt32 = 0) -> UInt32 {
        data.withUnsafeBytes { crc32($0, continuing: previous) }
    }

    /// The CRC-32 of a whole file, read in pieces.
    public static func crc32(file path: String) throws -> UInt32 {
        try measure(file: path).crc32
    }

    /// The size in bytes and the CRC-32 of a whole file, read in pieces.
    public static func measure(file path: String) throws -> (byteCount: Int, crc32: UInt32) {
        let source = try FileSource(path: path)
        var byteCount = 0
        var value: UInt32 = 0
        while let bytes = try source.next() {
            byteCount += bytes.count
            value = crc32(bytes, continuing: value)
        }
        return (byteCount, value)
    }

    /// The eight lower-case hexadecimal digits of a CRC-32.
    public static func hexadecimal(_ value: UInt32) -> String {
        let digits = String(value, radix: 16)
        return String(repeating: "0", count: max(0, 8 - digits.count)) + digits
    }
}
