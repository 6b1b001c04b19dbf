import Foundation

/// Writes the few parts of the Protocol Buffers wire format which event files need.
struct ProtobufWriter {
    private(set) var data = Data()

    /// A field of wire type 0; negative numbers take ten bytes, as for `int64`.
    mutating func varint(field: Int, _ value: Int64) {
        key(field: field, wireType: 0)
        rawVarint(UInt64(bitPattern: value))
    }

    /// A field of wire type 1.
    mutating func double(field: Int, _ value: Double) {
        key(field: field, wireType: 1)
        data.appendLittleEndian(value.bitPattern)
    }

    /// A field of wire type 5.
    mutating func float(field: Int, _ value: Float) {
        key(field: field, wireType: 5)
        data.appendLittleEndian(value.bitPattern)
    }

    /// A field of wire type 2.
    mutating func string(field: Int, _ value: String) {
        bytes(field: field, Data(value.utf8))
    }

    /// A nested message, of wire type 2.
    mutating func message(field: Int, _ build: (inout ProtobufWriter) -> Void) {
        var inner = ProtobufWriter()
        build(&inner)
        bytes(field: field, inner.data)
    }

    private mutating func bytes(field: Int, _ value: Data) {
        key(field: field, wireType: 2)
        rawVarint(UInt64(value.count))
        data.append(value)
    }

    private mutating func key(field: Int, wireType: UInt64) {
        rawVarint(UInt64(field) << 3 | wireType)
    }

    private mutating func rawVarint(_ value: UInt64) {
        var rest = value
        while rest >= 0x80 {
            data.append(UInt8(rest & 0x7F) | 0x80)
            rest >>= 7
        }
        data.append(UInt8(rest))
    }
}

extension Data {
    /// Appends the bytes of an integer, the least significant one first.
    mutating func appendLittleEndian(_ value: some FixedWidthInteger) {
        Swift.withUnsafeBytes(of: value.littleEndian) { append(contentsOf: $0) }
    }
}
