import Foundation

/// A JSON value (RFC 8259) with the order of the names of objects.
///
/// Two values are equal as Python compares them: the order of names does not count, and 1 equals 1.0.
public enum JSONValue: Sendable {
    /// `null`.
    case null
    /// `true` or `false`.
    case bool(Bool)
    /// A number without fraction and exponent.
    case int(Int)
    /// Any other number.
    case double(Double)
    /// A text.
    case string(String)
    /// A list.
    case array([JSONValue])
    /// Names with values, in order.
    case object([Member])

    /// A name of an object, and its value.
    public typealias Member = (name: String, value: JSONValue)

    /// Reads exactly one value of UTF-8 text, with nesting of at most `depth`, which is 64 at most.
    ///
    /// Throws ``JSONFault``, also for names that an object has twice.
    public init(reading text: some ContiguousBytes, depth: Int = 64) throws {
        self = try text.withUnsafeBytes { bytes in
            var scanner = try JSONScanner(bytes, depth: depth)
            let value = try JSONValue(&scanner)
            try scanner.finish()
            return value
        }
    }

    private init(_ scanner: inout JSONScanner) throws {
        switch scanner.peek() {
        case UInt8(ascii: "{"):
            var members: [Member] = []
            try scanner.readObject { scanner, name in members.append((name, try JSONValue(&scanner))) }
            self = .object(members)
        case UInt8(ascii: "["):
            var elements: [JSONValue] = []
            try scanner.readArray { elements.append(try JSONValue(&$0)) }
            self = .array(elements)
        default:
            switch try scanner.readScalar() {
            case .null: self = .null
            case .bool(let value): self = .bool(value)
            case .int(let value): self = .int(value)
            case .double(let value): self = .double(value)
            case .string(let text): self = .string(text)
            }
        }
    }

    /// The value of a name of an object; nil for other values and absent names.
    public subscript(name: String) -> JSONValue? {
        guard case .object(let members) = self else { return nil }
        return members.first { $0.name.isExactly(name) }?.value
    }

    /// The number of a value, if it is one.
    public var number: Double? {
        switch self {
        case .int(let value): Double(value)
        case .double(let value): value
        default: nil
        }
    }

    // MARK: Text

    /// Returns the text of Python's `json.dumps(value, indent=indent, ensure_ascii=False)`; NaN and infinities become null.
    public func text(indent: Int? = nil) -> String {
        var bytes: [UInt8] = []
        write(to: &bytes, Style(item: indent == nil ? ", " : ",", name: ": ", indent: indent), depth: 0)
        return String(decoding: bytes, as: UTF8.self)
    }

    /// The value in one line of UTF-8 without spaces; NaN and infinities become null.
    public var bytes: [UInt8] {
        var bytes: [UInt8] = []
        write(to: &bytes)
        return bytes
    }

    /// Appends the value in one line of UTF-8 without spaces.
    public func write(to bytes: inout [UInt8]) {
        write(to: &bytes, Style(item: ",", name: ":", indent: nil), depth: 0)
    }

    /// What stands between items, between names and values, and at the beginning of lines.
    private struct Style {
        let item: StaticString
        let name: StaticString
        let indent: Int?

        func lineBreak(_ bytes: inout [UInt8], _ depth: Int) {
            guard let indent else { return }
            bytes.append(0x0A)
            bytes += repeatElement(0x20, count: indent * depth)
        }
    }

    private func write(to bytes: inout [UInt8], _ style: Style, depth: Int) {
        func list<Item>(
            _ items: [Item], _ brackets: (UInt8, UInt8), _ write: (Item, inout [UInt8]) -> Void
        ) {
            bytes.append(brackets.0)
            for (index, item) in items.enumerated() {
                if index > 0 { bytes += style.item.bytes }
                style.lineBreak(&bytes, depth + 1)
                write(item, &bytes)
            }
            if !items.isEmpty { style.lineBreak(&bytes, depth) }
            bytes.append(brackets.1)
        }
        switch self {
        case .null: bytes += "null".utf8
        case .bool(let value): bytes += (value ? "true" : "false").utf8
        case .int(let value): bytes += "\(value)".utf8
        case .double(let value): bytes += (value.isFinite ? "\(value)" : "null").utf8
        case .string(let text): Self.quote(text, &bytes)
        case .array(let elements):
            list(elements, (UInt8(ascii: "["), UInt8(ascii: "]"))) { element, bytes in
                element.write(to: &bytes, style, depth: depth + 1)
            }
        case .object(let members):
            list(members, (UInt8(ascii: "{"), UInt8(ascii: "}"))) { member, bytes in
                Self.quote(member.name, &bytes)
                bytes += style.name.bytes
                member.value.write(to: &bytes, style, depth: depth + 1)
            }
        }
    }

    private static func quote(_ text: String, _ bytes: inout [UInt8]) {
        bytes.append(UInt8(ascii: "\""))
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "\""): bytes += "\\\"".utf8
            case UInt8(ascii: "\\"): bytes += "\\\\".utf8
            case 0x0A: bytes += "\\n".utf8
            case 0x0D: bytes += "\\r".utf8
            case 0x09: bytes += "\\t".utf8
            case 0x08: bytes += "\\b".utf8
            case 0x0C: bytes += "\\f".utf8
            case 0..<0x20:
                let digits = Array("0123456789abcdef".utf8)
                bytes += "\\u00".utf8
                bytes += [digits[Int(byte >> 4)], digits[Int(byte & 15)]]
            default: bytes.append(byte)
            }
        }
        bytes.append(UInt8(ascii: "\""))
    }
}

extension StaticString {
    fileprivate var bytes: UnsafeBufferPointer<UInt8> {
        UnsafeBufferPointer(start: utf8Start, count: utf8CodeUnitCount)
    }
}

extension JSONValue: Equatable {
    /// Returns true if both hold the same, whatever the order of names.
    public static func == (left: Self, right: Self) -> Bool {
        switch (left, right) {
        case (.null, .null): return true
        case (.bool(let a), .bool(let b)): return a == b
        case (.string(let a), .string(let b)): return a.isExactly(b)
        case (.array(let a), .array(let b)): return a == b
        case (.object(let a), .object(let b)):
            return a.count == b.count && a.allSatisfy { right[$0.name] == $0.value }
        default:
            guard let a = left.number, let b = right.number else { return false }
            return a == b
        }
    }
}

extension JSONValue: ExpressibleByStringLiteral, ExpressibleByArrayLiteral, ExpressibleByDictionaryLiteral,
    ExpressibleByIntegerLiteral, ExpressibleByFloatLiteral, ExpressibleByBooleanLiteral,
    ExpressibleByNilLiteral
{
    /// A text.
    public init(stringLiteral value: String) { self = .string(value) }
    /// A list.
    public init(arrayLiteral elements: JSONValue...) { self = .array(elements) }
    /// An object with the names in the given order.
    public init(dictionaryLiteral elements: (String, JSONValue)...) {
        self = .object(elements.map { ($0.0, $0.1) })
    }
    /// An integer.
    public init(integerLiteral value: Int) { self = .int(value) }
    /// A number.
    public init(floatLiteral value: Double) { self = .double(value) }
    /// True or false.
    public init(booleanLiteral value: Bool) { self = .bool(value) }
    /// `null`.
    public init(nilLiteral: ()) { self = .null }
}
