import Foundation

/// A value of a log record.
///
/// JSON has no numbers for not-a-number and the infinities. They are written as the strings `"NaN"`,
/// `"Infinity"` and `"-Infinity"`, and `doubleValue` understands these again.
public enum RecordValue: Sendable, Hashable {
    /// A whole number.
    case int(Int)
    /// A floating-point number.
    case double(Double)
    /// Text.
    case string(String)
    /// True or false.
    case bool(Bool)
    /// A list of values.
    case array([RecordValue])
    /// The absence of a value.
    case null

    /// The number, also of an integer or of text which names a number that is not finite; otherwise `nil`.
    public var doubleValue: Double? {
        switch self {
        case .int(let value): Double(value)
        case .double(let value): value
        case .string("NaN"): .nan
        case .string("Infinity"): .infinity
        case .string("-Infinity"): -.infinity
        default: nil
        }
    }

    /// The whole number, also of a double without fraction; otherwise `nil`.
    public var intValue: Int? {
        switch self {
        case .int(let value): value
        case .double(let value): Int(exactly: value)
        default: nil
        }
    }

    /// The text; otherwise `nil`.
    public var stringValue: String? {
        if case .string(let value) = self { value } else { nil }
    }

    /// The value as JSON text on one line.
    public var json: String {
        switch self {
        case .int(let value): String(value)
        case .double(let value): Self.json(value)
        case .string(let value): Self.json(value)
        case .bool(let value): value ? "true" : "false"
        case .array(let values): "[" + values.map(\.json).joined(separator: ",") + "]"
        case .null: "null"
        }
    }

    private static func json(_ value: Double) -> String {
        if value.isNaN { return "\"NaN\"" }
        if value.isInfinite { return value < 0 ? "\"-Infinity\"" : "\"Infinity\"" }
        return "\(value)"
    }

    /// Text as a JSON string; line separators of Unicode are escaped too, so a record stays one line.
    static func json(_ text: String) -> String {
        var result = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": result += "\\\""
            case "\\": result += "\\\\"
            case "\n": result += "\\n"
            case "\r": result += "\\r"
            case "\t": result += "\\t"
            case _ where scalar.value < 0x20 || [0x7F, 0x85, 0x2028, 0x2029].contains(scalar.value):
                result += String(format: "\\u%04x", scalar.value)
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result + "\""
    }
}

extension RecordValue: Decodable {
    /// Reads any JSON value except an object.
    public init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        if container.decodeNil() {
            self = .null
        } else if let value = try? container.decode(Bool.self) {
            self = .bool(value)
        } else if let value = try? container.decode(Int.self) {
            self = .int(value)
        } else if let value = try? container.decode(Double.self) {
            self = .double(value)
        } else if let value = try? container.decode(String.self) {
            self = .string(value)
        } else {
            self = .array(try container.decode([RecordValue].self))
        }
    }
}

extension RecordValue: ExpressibleByIntegerLiteral, ExpressibleByFloatLiteral, ExpressibleByStringLiteral,
    ExpressibleByBooleanLiteral, ExpressibleByArrayLiteral
{
    /// Makes a whole number.
    public init(integerLiteral value: Int) {
        self = .int(value)
    }

    /// Makes a floating-point number.
    public init(floatLiteral value: Double) {
        self = .double(value)
    }

    /// Makes text.
    public init(stringLiteral value: String) {
        self = .string(value)
    }

    /// Makes true or false.
    public init(booleanLiteral value: Bool) {
        self = .bool(value)
    }

    /// Makes a list.
    public init(arrayLiteral elements: RecordValue...) {
        self = .array(elements)
    }
}
