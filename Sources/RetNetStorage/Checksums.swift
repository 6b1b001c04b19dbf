import CRetNetZlib
import Foundation

/// CRC-32 checksums, as in zlib, gzip and PNG (polynomial 0xEDB88320).
public enum Checksum {
    /// Returns the CRC-32 of a buffer; `previous` is the checksum of the data before it.
    public static func crc32(_ bytes: UnsafeRawBufferPointer, continuing previous: UInt32 = 0) -> UInt32 {
        guard let base = bytes.baseAddress, !bytes.isEmpty else { return previous }
        let value = crc32_z(uLong(previous), base.assumingMemoryBound(to: Bytef.self), z_size_t(bytes.count))
        return UInt32(truncatingIfNeeded: value)
    }

    /// Returns the CRC-32 of data; `previous` is the checksum of the data before it.
    public static func crc32(_ data: Data, continuing previous: UInt32 = 0) -> UInt32 {
        data.withUnsafeBytes { crc32($0, continuing: previous) }
    }

    /// Returns the CRC-32 of a file.
    public static func crc32(file path: String) throws -> UInt32 {
        try measure(file: path).crc32
    }

    /// Returns the size in bytes and the CRC-32 of a file.
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

    /// Returns the eight lower-case hexadecimal digits of a CRC-32.
    public static func hexadecimal(_ value: UInt32) -> String {
        let digits = String(value, radix: 16)
        return String(repeating: "0", count: max(0, 8 - digits.count)) + digits
    }
}

/// The contents of `checksums.json`: the size and CRC-32 of every file of a folder.
struct ChecksumList: Equatable {
    /// Size and checksum of one file.
    struct Record: Equatable {
        let byteCount: Int
        let crc32: UInt32
    }

    /// A reason to refuse the list.
    struct Fault: Error {
        let byteOffset: Int?
        let reason: String
    }

    private static let version = 1
    /// Records by path within the folder.
    let records: [ExactString: Record]

    /// Text of the list, the same for equal lists.
    var text: String {
        let lines = records.sorted { $0.key < $1.key }.map { path, record in
            "    \(path.text.jsonQuoted): {\"byteCount\": \(record.byteCount), "
                + "\"crc32\": \"\(Checksum.hexadecimal(record.crc32))\"}"
        }
        return "{\n  \"version\": \(Self.version),\n  \"files\": {\n"
            + lines.joined(separator: ",\n") + "\n  }\n}\n"
    }

    /// Parses a list; throws `Fault`.
    static func parse(_ bytes: UnsafeRawBufferPointer) throws -> ChecksumList {
        var version: Int?
        var records: [ExactString: Record]?
        do {
            var scanner = try JSONScanner(bytes)
            try scanner.readObject { scanner, key in
                switch key {
                case "version": version = try scanner.readInteger()
                case "files": records = try readRecords(&scanner)
                default: try scanner.skipValue()
                }
            }
            try scanner.finish()
        } catch let fault as JSONFault {
            throw translated(fault)
        }
        guard let version else { throw Fault(byteOffset: nil, reason: "it has no 'version'") }
        guard version == Self.version else {
            throw Fault(
                byteOffset: nil, reason: "its version is \(version), only \(Self.version) is supported")
        }
        guard let records else { throw Fault(byteOffset: nil, reason: "it has no 'files'") }
        return ChecksumList(records: records)
    }

    private static func readRecords(_ scanner: inout JSONScanner) throws -> [ExactString: Record] {
        var records: [ExactString: Record] = [:]
        try scanner.readObject { scanner, path in
            guard isInside(path) else {
                throw Fault(byteOffset: scanner.offset, reason: "'\(path)' is outside the folder")
            }
            records[ExactString(path)] = try readRecord(path, &scanner)
        }
        return records
    }

    private static func readRecord(_ path: String, _ scanner: inout JSONScanner) throws -> Record {
        var byteCount: Int?
        var crc32: UInt32?
        try scanner.readObject { scanner, key in
            switch key {
            case "byteCount":
                byteCount = try scanner.readInteger()
            case "crc32":
                let digits = try scanner.readString()
                guard digits.utf8.count == 8, !digits.hasPrefix("+"), let value = UInt32(digits, radix: 16)
                else {
                    throw Fault(
                        byteOffset: scanner.offset, reason: "a CRC-32 has eight hexadecimal digits")
                }
                crc32 = value
            default:
                try scanner.skipValue()
            }
        }
        guard let byteCount, let crc32, byteCount >= 0 else {
            throw Fault(
                byteOffset: scanner.offset, reason: "'\(path)' lacks a valid byteCount or crc32")
        }
        return Record(byteCount: byteCount, crc32: crc32)
    }

    private static func isInside(_ path: String) -> Bool {
        guard !path.utf8.contains(0) else { return false }
        let components = path.utf8.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false)
        return components.allSatisfy { component in
            let name = Substring(component)
            return !name.isEmpty && name != "." && name != ".."
        }
    }

    private static func translated(_ fault: JSONFault) -> Fault {
        switch fault {
        case .notUTF8(let offset):
            return Fault(byteOffset: offset, reason: "it is not UTF-8")
        case .syntax(let offset, let reason):
            return Fault(byteOffset: offset, reason: "it is not JSON: \(reason)")
        case .wrongKind(let offset, let reason):
            return Fault(byteOffset: offset, reason: reason)
        case .duplicateName(let name, let offset):
            return Fault(byteOffset: offset, reason: "'\(name)' occurs twice")
        }
    }
}
