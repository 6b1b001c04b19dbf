import Foundation

/// A JSON value (RFC 8259) as requests bring it and answers are made of; objects keep their order.
enum JSONValue: Sendable, Equatable {
    case null
    case bool(Bool)
    case int(Int)
    case double(Double)
    case string(String)
    case array([JSONValue])
    case object([Member])

    struct Member: Sendable, Equatable {
        let name: String
        let value: JSONValue
    }

    /// The value of a name; nil if this is no object with it.
    subscript(name: String) -> JSONValue? {
        guard case .object(let members) = self else { return nil }
        return members.first { $0.name == name }?.value
    }

    /// What kind of value this is, for messages.
    var kind: String {
        switch self {
        case .null: "null"
        case .bool: "true or false"
        case .int: "a whole number"
        case .double: "a number"
        case .string: "a text"
        case .array: "a list"
        case .object: "an object"
        }
    }
}

extension JSONValue: ExpressibleByDictionaryLiteral, ExpressibleByStringLiteral, ExpressibleByIntegerLiteral,
    ExpressibleByBooleanLiteral, ExpressibleByArrayLiteral, ExpressibleByNilLiteral
{
    init(dictionaryLiteral elements: (String, JSONValue)...) {
        self = .object(elements.map { Member(name: $0, value: $1) })
    }
    init(stringLiteral value: String) { self = .string(value) }
    init(integerLiteral value: Int) { self = .int(value) }
    init(booleanLiteral value: Bool) { self = .bool(value) }
    init(arrayLiteral elements: JSONValue...) { self = .array(elements) }
    init(nilLiteral: ()) { self = .null }
}

// MARK: Writing

extension JSONValue {
    /// The value in one line of UTF-8; numbers that JSON does not have become null.
    var bytes: [UInt8] {
        var bytes: [UInt8] = []
        write(to: &bytes)
        return bytes
    }

    func write(to bytes: inout [UInt8]) {
        switch self {
        case .null: bytes += "null".utf8
        case .bool(let value): bytes += (value ? "true" : "false").utf8
        case .int(let value): bytes += String(value).utf8
        case .double(let value): bytes += (value.isFinite ? "\(value)" : "null").utf8
        case .string(let value): Self.write(value, to: &bytes)
        case .array(let elements):
            bytes.append(UInt8(ascii: "["))
            for (index, element) in elements.enumerated() {
                if index > 0 { bytes.append(UInt8(ascii: ",")) }
                element.write(to: &bytes)
            }
            bytes.append(UInt8(ascii: "]"))
        case .object(let members):
            bytes.append(UInt8(ascii: "{"))
            for (index, member) in members.enumerated() {
                if index > 0 { bytes.append(UInt8(ascii: ",")) }
                Self.write(member.name, to: &bytes)
                bytes.append(UInt8(ascii: ":"))
                member.value.write(to: &bytes)
            }
            bytes.append(UInt8(ascii: "}"))
        }
    }

    private static func write(_ text: String, to bytes: inout [UInt8]) {
        bytes.append(UInt8(ascii: "\""))
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "\""): bytes += "\\\"".utf8
            case UInt8(ascii: "\\"): bytes += "\\\\".utf8
            case 0x0A: bytes += "\\n".utf8
            case 0x0D: bytes += "\\r".utf8
            case 0x09: bytes += "\\t".utf8
            case 0..<0x20, 0x7F:
                let digits = Array("0123456789abcdef".utf8)
                bytes += "\\u00".utf8
                bytes += [digits[Int(byte >> 4)], digits[Int(byte & 15)]]
            default: bytes.append(byte)
            }
        }
        bytes.append(UInt8(ascii: "\""))
    }
}

// MARK: Reading

/// A place where a text is not JSON.
struct JSONFault: Error, Equatable, CustomStringConvertible {
    let byteOffset: Int
    let reason: String

    var description: String { "the body is not valid JSON at byte \(byteOffset): \(reason)" }
}

extension JSONValue {
    /// The largest nesting of objects and arrays.
    static let depthLimit = 32

    /// Reads a value; throws ``JSONFault`` for anything that is not exactly one value in UTF-8, and for names given twice.
    init(_ bytes: [UInt8]) throws {
        // Foundation is strict about UTF-8, which keeps what follows to single bytes.
        guard String(data: Data(bytes), encoding: .utf8) != nil else {
            throw JSONFault(byteOffset: 0, reason: "it is not UTF-8")
        }
        self = try bytes.withUnsafeBufferPointer { buffer in
            var parser = JSONParser(bytes: buffer)
            return try parser.document()
        }
    }
}

private struct JSONParser {
    let bytes: UnsafeBufferPointer<UInt8>
    private var offset = 0
    private var depth = 0

    init(bytes: UnsafeBufferPointer<UInt8>) { self.bytes = bytes }

    mutating func document() throws -> JSONValue {
        let value = try value()
        if peek() != nil { throw fault("something follows the value") }
        return value
    }

    private func fault(_ reason: String) -> JSONFault { JSONFault(byteOffset: offset, reason: reason) }

    /// Skips white space; returns the next byte.
    private mutating func peek() -> UInt8? {
        while offset < bytes.count {
            switch bytes[offset] {
            case 0x20, 0x09, 0x0A, 0x0D: offset += 1
            default: return bytes[offset]
            }
        }
        return nil
    }

    private mutating func value() throws -> JSONValue {
        switch peek() {
        case nil: throw fault("it ends where a value should be")
        case UInt8(ascii: "{"): return try object()
        case UInt8(ascii: "["): return try array()
        case UInt8(ascii: "\""): return .string(try string())
        case let byte?
        where byte == UInt8(ascii: "-") || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte):
            return try number()
        default:
            if skip("null") { return .null }
            if skip("true") { return .bool(true) }
            if skip("false") { return .bool(false) }
            throw fault("a value is missing")
        }
    }

    private mutating func skip(_ word: StaticString) -> Bool {
        let count = word.utf8CodeUnitCount
        guard bytes.count - offset >= count,
            (0..<count).allSatisfy({ bytes[offset + $0] == word.utf8Start[$0] })
        else { return false }
        offset += count
        return true
    }

    private mutating func enter() throws {
        guard depth < JSONValue.depthLimit else {
            throw fault("lists and objects are nested more than \(JSONValue.depthLimit) deep")
        }
        depth += 1
        offset += 1
    }

    /// Reads what separates items; returns false at the end.
    private mutating func goesOn(_ closing: Unicode.Scalar) throws -> Bool {
        let byte = peek()
        guard byte == UInt8(ascii: ",") || byte == UInt8(ascii: closing) else {
            throw fault("',' or '\(closing)' is missing")
        }
        offset += 1
        if byte == UInt8(ascii: closing) { depth -= 1 }
        return byte == UInt8(ascii: ",")
    }

    private mutating func array() throws -> JSONValue {
        try enter()
        var elements: [JSONValue] = []
        if peek() == UInt8(ascii: "]") {
            (offset, depth) = (offset + 1, depth - 1)
            return .array([])
        }
        repeat { elements.append(try value()) } while try goesOn("]")
        return .array(elements)
    }

    private mutating func object() throws -> JSONValue {
        try enter()
        var members: [JSONValue.Member] = []
        var names: Set<String> = []
        if peek() == UInt8(ascii: "}") {
            (offset, depth) = (offset + 1, depth - 1)
            return .object([])
        }
        repeat {
            guard peek() == UInt8(ascii: "\"") else { throw fault("a name in double quotes is missing") }
            let name = try string()
            guard names.insert(name).inserted else { throw fault("the name '\(name)' is given twice") }
            guard peek() == UInt8(ascii: ":") else { throw fault("':' is missing") }
            offset += 1
            members.append(JSONValue.Member(name: name, value: try value()))
        } while try goesOn("}")
        return .object(members)
    }

    private mutating func digits() throws {
        let start = offset
        while offset < bytes.count, (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(bytes[offset]) {
            offset += 1
        }
        if offset == start { throw fault("a digit is missing") }
    }

    private mutating func number() throws -> JSONValue {
        let start = offset
        var isInteger = true
        _ = skip("-")
        let first = offset
        try digits()
        if bytes[first] == UInt8(ascii: "0"), offset > first + 1 { throw fault("a number begins with 0") }
        if skip(".") {
            isInteger = false
            try digits()
        }
        if skip("e") || skip("E") {
            isInteger = false
            if !skip("+") { _ = skip("-") }
            try digits()
        }
        let text = String(decoding: UnsafeBufferPointer(rebasing: bytes[start..<offset]), as: UTF8.self)
        if isInteger, let value = Int(text) { return .int(value) }
        guard let value = Double(text), value.isFinite else { throw fault("a number is too large") }
        return .double(value)
    }

    private mutating func string() throws -> String {
        offset += 1
        var start = offset
        var text: [UInt8] = []
        while offset < bytes.count {
            switch bytes[offset] {
            case UInt8(ascii: "\""):
                text += bytes[start..<offset]
                offset += 1
                return String(decoding: text, as: UTF8.self)
            case UInt8(ascii: "\\"):
                text += bytes[start..<offset]
                offset += 1
                try escape(into: &text)
                start = offset
            case 0..<0x20: throw fault("a text has a control character that is not escaped")
            default: offset += 1
            }
        }
        throw fault("it ends inside a text")
    }

    private mutating func escape(into text: inout [UInt8]) throws {
        guard offset < bytes.count else { throw fault("it ends inside a text") }
        let byte = bytes[offset]
        offset += 1
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): text.append(byte)
        case UInt8(ascii: "b"): text.append(0x08)
        case UInt8(ascii: "f"): text.append(0x0C)
        case UInt8(ascii: "n"): text.append(0x0A)
        case UInt8(ascii: "r"): text.append(0x0D)
        case UInt8(ascii: "t"): text.append(0x09)
        case UInt8(ascii: "u"):
            var code = try hexadecimal()
            if (0xD800..<0xDC00).contains(code) {
                guard skip("\\u") else { throw fault("half of a surrogate pair") }
                let low = try hexadecimal()
                guard (0xDC00..<0xE000).contains(low) else { throw fault("half of a surrogate pair") }
                code = 0x10000 + (code - 0xD800) << 10 + (low - 0xDC00)
            }
            guard let scalar = Unicode.Scalar(code) else { throw fault("half of a surrogate pair") }
            text += UTF8.encode(scalar).map(Array.init) ?? []
        default: throw fault("an unknown escape")
        }
    }

    private mutating func hexadecimal() throws -> UInt32 {
        var value: UInt32 = 0
        for _ in 0..<4 {
            guard offset < bytes.count,
                let digit = Character(Unicode.Scalar(bytes[offset])).hexDigitValue
            else { throw fault("a \\u escape needs four hexadecimal digits") }
            value = value << 4 | UInt32(digit)
            offset += 1
        }
        return value
    }
}
