import RetNetStorage

/// A tree of settings as read from YAML or JSON, before the names are interpreted.
///
/// Integers and floating-point numbers are distinct, and the order of names is kept for writing. Two trees
/// are equal if they have the same contents in any order of names; texts and names are compared by their Unicode scalars.
public enum SettingsTree: Sendable {
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

    /// Largest nesting of lists and objects.
    public static let maximumDepth = JSONScanner.maximumDepth

    /// Reads YAML 1.2 (core schema); throws ``SettingsError`` with the position of the problem.
    public init(yaml text: String) throws {
        self = try SettingsDocument(yaml: text).tree
    }

    /// Reads JSON (RFC 8259, no repeated names); throws ``SettingsError`` with the position of the problem.
    public init(json text: String) throws {
        self = try SettingsDocument(json: text).tree
    }

    /// Entries, if this is an object.
    public var object: SettingsObject? {
        if case .object(let object) = self { object } else { nil }
    }

    /// Elements, if this is a list.
    public var array: [SettingsTree]? {
        if case .array(let elements) = self { elements } else { nil }
    }

    /// Text, if this is one.
    public var string: String? {
        if case .string(let text) = self { text } else { nil }
    }

    /// Integer, if this is one or a floating-point number with an integral value, such as 1e3.
    public var int: Int? {
        switch self {
        case .int(let value): value
        // Beyond 2^53 floating-point numbers do not represent every integer.
        case .double(let value) where abs(value) <= 0x1p53: Int(exactly: value)
        default: nil
        }
    }

    /// Number, if this is one.
    public var double: Double? {
        switch self {
        case .int(let value): Double(value)
        case .double(let value): value
        default: nil
        }
    }

    /// Description for error messages: "the text 'fast'", "the number 3", "a list of 2".
    public var summary: String {
        switch self {
        case .null: return "nothing"
        case .bool(let value): return "\(value)"
        case .int(let value): return "the number \(value)"
        case .double(let value): return "the number \(value)"
        case .string(let text):
            let shown = text.count > 60 ? String(text.prefix(57)) + "..." : text
            return "the text '\(shown.jsonQuoted.dropFirst().dropLast())'"
        case .array(let elements): return "a list of \(elements.count)"
        case .object(let object):
            let names = object.keys.prefix(4).map { "'\($0)'" }.joined(separator: ", ")
            return object.isEmpty ? "an empty object" : "an object with \(names)"
        }
    }
}

extension SettingsTree: Equatable {
    /// Returns true if both have the same contents, in any order of names.
    public static func == (left: Self, right: Self) -> Bool {
        switch (left, right) {
        case (.null, .null): true
        case (.bool(let a), .bool(let b)): a == b
        case (.int(let a), .int(let b)): a == b
        case (.double(let a), .double(let b)): a == b
        case (.string(let a), .string(let b)): a.isExactly(b)
        case (.array(let a), .array(let b)): a == b
        case (.object(let a), .object(let b)): a == b
        default: false
        }
    }
}

extension SettingsTree: ExpressibleByDictionaryLiteral, ExpressibleByArrayLiteral, ExpressibleByStringLiteral,
    ExpressibleByIntegerLiteral, ExpressibleByFloatLiteral, ExpressibleByBooleanLiteral
{
    /// Creates an object; of a name given twice the last value is kept.
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

/// A mapping from names to settings that keeps their order.
public struct SettingsObject: Sendable {
    /// A name with its value.
    public struct Entry: Sendable, Equatable {
        /// The name.
        public var key: String
        /// The value.
        public var value: SettingsTree
    }

    /// Entries in order, each name once.
    public private(set) var entries: [Entry] = []
    private var indexes: [ExactString: Int] = [:]

    /// Creates an object without entries.
    public init() {}

    /// Names in order.
    public var keys: [String] { entries.map(\.key) }

    /// True if there are no entries.
    public var isEmpty: Bool { entries.isEmpty }

    /// Value of a name; a new name is added at the end, and nil removes the name.
    public subscript(key: String) -> SettingsTree? {
        get { indexes[ExactString(key)].map { entries[$0].value } }
        set {
            switch (indexes[ExactString(key)], newValue) {
            case (let index?, let value?):
                entries[index].value = value
            case (nil, let value?):
                indexes[ExactString(key)] = entries.count
                entries.append(Entry(key: key, value: value))
            case (let index?, nil):
                entries.remove(at: index)
                indexes = [:]
                for (index, entry) in entries.enumerated() { indexes[ExactString(entry.key)] = index }
            case (nil, nil):
                break
            }
        }
    }
}

extension SettingsObject: ExpressibleByDictionaryLiteral {
    /// Creates an object with the given entries; of a name given twice the last value is kept.
    public init(dictionaryLiteral elements: (String, SettingsTree)...) {
        for (key, value) in elements { self[key] = value }
    }
}

extension SettingsObject: Equatable {
    /// Returns true if both have the same names with equal values, in any order.
    public static func == (left: Self, right: Self) -> Bool {
        left.entries.count == right.entries.count
            && left.entries.allSatisfy { right[$0.key] == $0.value }
    }
}
