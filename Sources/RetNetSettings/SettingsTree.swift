import Foundation

/// A tree of settings, as read from YAML or JSON, before anybody knows what the names mean.
///
/// Integers and floating-point numbers are kept apart, and the order of names is kept for writing. Two trees
/// are equal if they hold the same, whatever the order of their names.
public enum SettingsTree: Sendable, Equatable {
    /// Nothing; reads like a missing setting.
    case null
    /// True or false.
    case bool(Bool)
    /// A number written without point and exponent.
    case int(Int)
    /// Any other number.
    case double(Double)
    /// A text.
    case string(String)
    /// A list.
    case array([SettingsTree])
    /// Names with values.
    case object(SettingsObject)

    /// How many levels of lists and objects a text may have.
    public static let maximumDepth = 64

    /// Reads YAML 1.2 (core schema); throws ``SettingsError`` with the position of the problem.
    public init(yaml text: String) throws {
        self = try SettingsDocument(yaml: text).tree
    }

    /// Reads JSON (RFC 8259, no repeated names); throws ``SettingsError`` with the position of the problem.
    public init(json text: String) throws {
        self = try SettingsDocument(json: text).tree
    }

    /// The entries, if this is an object.
    public var object: SettingsObject? {
        if case .object(let object) = self { object } else { nil }
    }

    /// The elements, if this is a list.
    public var array: [SettingsTree]? {
        if case .array(let elements) = self { elements } else { nil }
    }

    /// The text, if this is one.
    public var string: String? {
        if case .string(let text) = self { text } else { nil }
    }

    /// The number, if this is an integer or a floating-point number that is one, such as 1e3.
    public var int: Int? {
        switch self {
        case .int(let value): value
        // Beyond 2^53 a floating-point number no longer says which integer was meant.
        case .double(let value) where abs(value) <= 0x1p53: Int(exactly: value)
        default: nil
        }
    }

    /// The number, if this is one.
    public var double: Double? {
        switch self {
        case .int(let value): Double(value)
        case .double(let value): value
        default: nil
        }
    }

    /// What this is, for messages: "the text 'fast'", "the number 3", "a list of 2".
    public var summary: String {
        switch self {
        case .null: return "nothing"
        case .bool(let value): return "\(value)"
        case .int(let value): return "the number \(value)"
        case .double(let value): return "the number \(value)"
        case .string(let text):
            let shown = text.count > 60 ? String(text.prefix(57)) + "..." : text
            return "the text \(SettingsJSONWriter.quoted(shown))"
        case .array(let elements): return "a list of \(elements.count)"
        case .object(let object):
            let names = object.keys.prefix(4).map { "'\($0)'" }.joined(separator: ", ")
            return object.isEmpty ? "an empty object" : "an object with \(names)"
        }
    }
}

extension SettingsTree: ExpressibleByDictionaryLiteral, ExpressibleByArrayLiteral, ExpressibleByStringLiteral,
    ExpressibleByIntegerLiteral, ExpressibleByFloatLiteral, ExpressibleByBooleanLiteral
{
    /// An object; of a name given twice the last value counts.
    public init(dictionaryLiteral elements: (String, SettingsTree)...) {
        var object = SettingsObject()
        for (key, value) in elements { object[key] = value }
        self = .object(object)
    }

    /// A list.
    public init(arrayLiteral elements: SettingsTree...) { self = .array(elements) }

    /// A text.
    public init(stringLiteral value: String) { self = .string(value) }

    /// An integer.
    public init(integerLiteral value: Int) { self = .int(value) }

    /// A floating-point number.
    public init(floatLiteral value: Double) { self = .double(value) }

    /// True or false.
    public init(booleanLiteral value: Bool) { self = .bool(value) }
}
