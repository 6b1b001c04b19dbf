import Foundation
import RetNetStorage

/// A JSON value as a data file holds it, with the order of the names of objects.
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
    case object([(name: String, value: JSONValue)])

    /// Reads one value of UTF-8 JSON text; throws the reason and place as ``MalformedExample``.
    init(parsing data: Data) throws(MalformedExample) {
        do {
            self = try data.withUnsafeBytes { bytes in
                var scanner = try JSONScanner(bytes)
                let value = try JSONValue(&scanner)
                try scanner.finish()
                return value
            }
        } catch let fault as JSONFault {
            throw MalformedExample(fault.sentence)
        } catch {
            throw MalformedExample("\(error)")
        }
    }

    private init(_ scanner: inout JSONScanner) throws {
        switch scanner.peek() {
        case UInt8(ascii: "{"):
            var members: [(name: String, value: JSONValue)] = []
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

    /// The kind of the value in error messages.
    var kind: String {
        switch self {
        case .null: "null"
        case .bool(let value): "\(value)"
        case .int(let value): "the number \(value)"
        case .double(let value): "the number \(value)"
        case .string: "a text"
        case .array: "a list"
        case .object: "an object"
        }
    }

    // MARK: Text

    /// Returns the text of `json.dumps(value, indent=indent, ensure_ascii=False)`; NaN and infinities become null.
    public func text(indent: Int? = nil) -> String {
        var result = ""
        write(into: &result, indent: indent, depth: 0)
        return result
    }

    private func write(into result: inout String, indent: Int?, depth: Int) {
        func lineBreak(_ depth: Int) {
            guard let indent else { return }
            result += "\n" + String(repeating: " ", count: indent * depth)
        }
        func separator() { result += indent == nil ? ", " : "," }
        switch self {
        case .null: result += "null"
        case .bool(let value): result += value ? "true" : "false"
        case .int(let value): result += "\(value)"
        case .double(let value): result += value.isFinite ? "\(value)" : "null"
        case .string(let text): Self.quote(text, into: &result)
        case .array(let elements):
            result += "["
            for (index, element) in elements.enumerated() {
                if index > 0 { separator() }
                lineBreak(depth + 1)
                element.write(into: &result, indent: indent, depth: depth + 1)
            }
            if !elements.isEmpty { lineBreak(depth) }
            result += "]"
        case .object(let members):
            result += "{"
            for (index, member) in members.enumerated() {
                if index > 0 { separator() }
                lineBreak(depth + 1)
                Self.quote(member.name, into: &result)
                result += ": "
                member.value.write(into: &result, indent: indent, depth: depth + 1)
            }
            if !members.isEmpty { lineBreak(depth) }
            result += "}"
        }
    }

    private static func quote(_ text: String, into result: inout String) {
        result += "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": result += "\\\""
            case "\\": result += "\\\\"
            case "\n": result += "\\n"
            case "\r": result += "\\r"
            case "\t": result += "\\t"
            case "\u{8}": result += "\\b"
            case "\u{C}": result += "\\f"
            case "\u{0}"..<"\u{20}":
                let digits = String(scalar.value, radix: 16)
                result += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
            default: result.unicodeScalars.append(scalar)
            }
        }
        result += "\""
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
    ExpressibleByIntegerLiteral, ExpressibleByFloatLiteral, ExpressibleByBooleanLiteral
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
}

extension JSONFault {
    /// The reason to refuse a line, with the byte where the problem is.
    fileprivate var sentence: String {
        switch self {
        case .notUTF8(let offset): "it is not UTF-8 text at byte \(offset)"
        case .syntax(let offset, let reason), .wrongKind(let offset, let reason):
            "it is not valid JSON at byte \(offset): \(reason)"
        case .duplicateName(let name, let offset): "the name '\(name)' occurs twice, again at byte \(offset)"
        }
    }
}
