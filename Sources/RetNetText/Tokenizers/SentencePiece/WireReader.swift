/// Reads the fields of one message in protobuf's wire format.
///
/// Strict: whatever is cut off, overlong or of a type that no longer exists is a fault with its place. Nothing is
/// copied and no length is believed before it has been compared with what is there.
struct WireReader {
    /// The value of a field, as its wire type tells.
    enum Value: Equatable {
        case varint(UInt64)
        case fixed64(UInt64)
        /// A text, a message or packed numbers: the place of its bytes.
        case bytes(Range<Int>)
        case fixed32(UInt32)
    }

    /// What is wrong, and where.
    struct Fault: Error {
        let byteOffset: Int
        let reason: String
    }

    private let bytes: [UInt8]
    private(set) var offset: Int
    private let end: Int

    /// A reader of a whole message, or of one inside another.
    init(_ bytes: [UInt8], in range: Range<Int>? = nil) {
        self.bytes = bytes
        offset = range?.lowerBound ?? 0
        end = range?.upperBound ?? bytes.count
    }

    /// The next field, or nil after the last.
    mutating func next() throws -> (field: Int, value: Value)? {
        guard offset < end else { return nil }
        let start = offset
        let tag = try varint()
        guard tag >> 3 > 0, tag >> 3 <= 0x1FFF_FFFF else {
            throw Fault(byteOffset: start, reason: "a field has the number \(tag >> 3)")
        }
        let field = Int(tag >> 3)
        switch tag & 7 {
        case 0: return (field, .varint(try varint()))
        case 1: return (field, .fixed64(try fixed(8)))
        case 2:
            let count = try varint()
            guard count <= UInt64(end - offset) else {
                throw Fault(
                    byteOffset: start,
                    reason: "field \(field) is \(count) bytes long, but \(end - offset) are left")
            }
            let range = offset..<offset + Int(count)
            offset = range.upperBound
            return (field, .bytes(range))
        case 5: return (field, .fixed32(UInt32(truncatingIfNeeded: try fixed(4))))
        default:
            throw Fault(byteOffset: start, reason: "field \(field) has the unknown wire type \(tag & 7)")
        }
    }

    private mutating func varint() throws -> UInt64 {
        let start = offset
        var value: UInt64 = 0
        for shift in stride(from: UInt64(0), through: 63, by: 7) {
            guard offset < end else { throw Fault(byteOffset: start, reason: "a number is cut off") }
            let byte = bytes[offset]
            offset += 1
            // The tenth byte has room for one bit.
            guard shift < 63 || byte <= 1 else { break }
            value |= UInt64(byte & 0x7F) << shift
            if byte < 0x80 { return value }
        }
        throw Fault(byteOffset: start, reason: "a number is longer than 64 bits")
    }

    private mutating func fixed(_ count: Int) throws -> UInt64 {
        guard count <= end - offset else {
            throw Fault(byteOffset: offset, reason: "a number is cut off")
        }
        defer { offset += count }
        return (0..<count).reduce(0) { $0 | UInt64(bytes[offset + $1]) << (8 * UInt64($1)) }
    }
}
