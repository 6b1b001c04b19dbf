import Foundation

@testable import RetNetReporting

/// Reads event files back, written independently of the writer.
enum EventFileDecoder {
    struct Fault: Error {}

    /// A field of a message: its number and its raw value.
    struct Field {
        let number: Int
        let varint: UInt64
        let bytes: [UInt8]

        var double: Double { Double(bitPattern: varint) }
        var float: Float { Float(bitPattern: UInt32(truncatingIfNeeded: varint)) }
        var text: String { String(decoding: bytes, as: UTF8.self) }

        func fields() throws -> [Field] { try EventFileDecoder.fields(of: bytes) }
    }

    /// The payloads of all records, after checking both checksums of each.
    static func records(of file: [UInt8]) throws -> [[UInt8]] {
        var records: [[UInt8]] = []
        var rest = file[...]
        while !rest.isEmpty {
            let head = Array(rest.prefix(8))
            let length = Int(little(head))
            guard rest.count >= length + 16 else { throw Fault() }
            let headSum = UInt32(little(Array(rest.dropFirst(8).prefix(4))))
            let body = Array(rest.dropFirst(12).prefix(length))
            let bodySum = UInt32(little(Array(rest.dropFirst(12 + length).prefix(4))))
            guard unmask(headSum) == bitwiseCRC(head), unmask(bodySum) == bitwiseCRC(body) else {
                throw Fault()
            }
            records.append(body)
            rest = rest.dropFirst(length + 16)
        }
        return records
    }

    static func fields(of message: [UInt8]) throws -> [Field] {
        var fields: [Field] = []
        var place = 0
        func varint() throws -> UInt64 {
            var (value, shift): (UInt64, UInt64) = (0, 0)
            while place < message.count {
                let byte = message[place]
                place += 1
                value |= UInt64(byte & 0x7F) << shift
                if byte < 0x80 { return value }
                shift += 7
            }
            throw Fault()
        }
        func take(_ count: Int) throws -> [UInt8] {
            guard place + count <= message.count else { throw Fault() }
            defer { place += count }
            return Array(message[place..<place + count])
        }
        while place < message.count {
            let key = try varint()
            let number = Int(key >> 3)
            switch key & 7 {
            case 0: fields.append(Field(number: number, varint: try varint(), bytes: []))
            case 1: fields.append(Field(number: number, varint: little(try take(8)), bytes: []))
            case 2:
                let length = Int(try varint())
                fields.append(Field(number: number, varint: 0, bytes: try take(length)))
            case 5: fields.append(Field(number: number, varint: little(try take(4)), bytes: []))
            default: throw Fault()
            }
        }
        return fields
    }

    private static func little(_ bytes: [UInt8]) -> UInt64 {
        bytes.reversed().reduce(0) { $0 << 8 | UInt64($1) }
    }

    private static func unmask(_ masked: UInt32) -> UInt32 {
        let rotated = masked &- 0xA282_EAD8
        return rotated << 15 | rotated >> 17
    }

    private static func bitwiseCRC(_ bytes: [UInt8]) -> UInt32 {
        var crc: UInt32 = ~0
        for byte in bytes {
            crc ^= UInt32(byte)
            for _ in 0..<8 { crc = crc & 1 == 1 ? crc >> 1 ^ 0x82F6_3B78 : crc >> 1 }
        }
        return ~crc
    }
}
