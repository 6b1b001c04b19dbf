import Foundation

/// A value of a template, as Jinja2 has them on Python's types.
public indirect enum TemplateValue: Sendable {
    /// A name or an item that does not exist; it prints nothing.
    case undefined(String)
    case none
    case bool(Bool)
    case int(Int)
    case double(Double)
    case string(String)
    case list([TemplateValue])
    case dict(TemplateDictionary)
    /// What `namespace()` makes: the only values that change.
    case namespace(TemplateNamespace)
    case function(TemplateFunction)
}

/// A dictionary with text keys that keeps their order.
public struct TemplateDictionary: Sendable {
    /// The keys in order.
    public private(set) var keys: [String] = []
    private var values: [[UInt8]: TemplateValue] = [:]

    /// An empty dictionary.
    public init() {}

    /// A dictionary of some pairs, the last of equal keys.
    public init(_ pairs: [(String, TemplateValue)]) {
        for (key, value) in pairs { self[key] = value }
    }

    /// The value of a key, compared byte by byte.
    public subscript(key: String) -> TemplateValue? {
        get { values[Array(key.utf8)] }
        set {
            let bytes = Array(key.utf8)
            if values[bytes] == nil, newValue != nil { keys.append(key) }
            if newValue == nil { keys.removeAll { $0.utf8.elementsEqual(bytes) } }
            values[bytes] = newValue
        }
    }

    /// The pairs in order.
    public var pairs: [(key: String, value: TemplateValue)] {
        keys.compactMap { key in self[key].map { (key, $0) } }
    }
}

/// What `namespace()` makes.
public final class TemplateNamespace: @unchecked Sendable {
    // Sendable: used by the one thread that renders.
    var values = TemplateDictionary()
}

/// A function, macro or method that templates call.
public struct TemplateFunction: Sendable {
    let name: String
    let call: @Sendable (TemplateArguments) throws -> TemplateValue
}

/// The arguments of a call.
public struct TemplateArguments: Sendable {
    var positional: [TemplateValue] = []
    var named = TemplateDictionary()

    /// The argument of a place or a name.
    func value(_ index: Int, _ name: String) -> TemplateValue? {
        index < positional.count ? positional[index] : named[name]
    }
}

/// A template that cannot be read or rendered.
public struct TemplateError: Error, Equatable, CustomStringConvertible, LocalizedError {
    /// The problem.
    public let message: String
    /// The line of the template, from 1, if it is known.
    public internal(set) var line: Int?
    /// True if the template itself raised the error, about the messages.
    public let isRaised: Bool

    init(_ message: String, line: Int? = nil, isRaised: Bool = false) {
        (self.message, self.line, self.isRaised) = (message, line, isRaised)
    }

    /// The problem with its place.
    public var description: String {
        isRaised
            ? message
            : "the chat template cannot be rendered: \(message)" + (line.map { " in line \($0)" } ?? "")
    }

    /// The same text as ``description``.
    public var errorDescription: String? { description }
}

// MARK: Python's conversions

extension TemplateValue {
    /// Python's truth.
    var isTrue: Bool {
        switch self {
        case .undefined, .none: false
        case .bool(let value): value
        case .int(let value): value != 0
        case .double(let value): value != 0
        case .string(let value): !value.isEmpty
        case .list(let values): !values.isEmpty
        case .dict(let values): !values.keys.isEmpty
        case .namespace, .function: true
        }
    }

    /// Python's name of the type.
    var typeName: String {
        switch self {
        case .undefined: "undefined"
        case .none: "None"
        case .bool: "bool"
        case .int: "int"
        case .double: "float"
        case .string: "str"
        case .list: "list"
        case .dict: "dict"
        case .namespace: "namespace"
        case .function: "function"
        }
    }

    /// Python's `str()`.
    var text: String {
        switch self {
        case .undefined: ""
        case .string(let value): value
        default: representation
        }
    }

    /// Python's `repr()`.
    var representation: String {
        switch self {
        case .undefined: return "Undefined"
        case .none: return "None"
        case .bool(let value): return value ? "True" : "False"
        case .int(let value): return String(value)
        case .double(let value): return Self.representation(of: value)
        case .string(let value): return Self.quoted(value)
        case .list(let values): return "[" + values.map(\.representation).joined(separator: ", ") + "]"
        case .dict(let values):
            return "{"
                + values.pairs.map { Self.quoted($0.key) + ": " + $0.value.representation }.joined(
                    separator: ", ") + "}"
        case .namespace: return "<Namespace>"
        case .function(let function): return "<function \(function.name)>"
        }
    }

    static func representation(of value: Double) -> String {
        if value.isNaN { return "nan" }
        if value.isInfinite { return value < 0 ? "-inf" : "inf" }
        var text = "\(value)"
        // Python writes an exponent from 1e16, Swift too; both have two digits at least.
        if let place = text.firstIndex(of: "e") {
            var exponent = text[text.index(after: place)...]
            let sign = exponent.hasPrefix("-") ? "-" : "+"
            if exponent.hasPrefix("-") || exponent.hasPrefix("+") { exponent = exponent.dropFirst() }
            let mantissa = text[..<place].hasSuffix(".0") ? text[..<place].dropLast(2) : text[..<place]
            text = mantissa + "e" + sign + (exponent.count < 2 ? "0" : "") + exponent
        }
        return text
    }

    private static func quoted(_ text: String) -> String {
        let quote: Character = text.contains("'") && !text.contains("\"") ? "\"" : "'"
        var result = String(quote)
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\\": result += "\\\\"
            case "\n": result += "\\n"
            case "\r": result += "\\r"
            case "\t": result += "\\t"
            case "'" where quote == "'": result += "\\'"
            case "\u{0}"..<" ", "\u{7F}":
                let digits = String(scalar.value, radix: 16)
                result += "\\x" + (digits.count < 2 ? "0" : "") + digits
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result + String(quote)
    }

    /// The number, where this is one; Python's booleans are numbers too.
    var number: Double? {
        switch self {
        case .bool(let value): value ? 1 : 0
        case .int(let value): Double(value)
        case .double(let value): value
        default: nil
        }
    }

    /// The whole number, where this is one.
    var integer: Int? {
        switch self {
        case .bool(let value): value ? 1 : 0
        case .int(let value): value
        default: nil
        }
    }

    /// Python's `==`.
    func isEqual(_ other: TemplateValue) -> Bool {
        switch (self, other) {
        case (.undefined, .undefined), (.none, .none): return true
        case (.string(let a), .string(let b)): return a.utf8.elementsEqual(b.utf8)
        case (.list(let a), .list(let b)):
            return a.count == b.count && zip(a, b).allSatisfy { $0.isEqual($1) }
        case (.dict(let a), .dict(let b)):
            return a.keys.count == b.keys.count && a.pairs.allSatisfy { b[$0.key]?.isEqual($0.value) == true }
        case (.namespace(let a), .namespace(let b)): return a === b
        default:
            if let a = integer, let b = other.integer { return a == b }
            if let a = number, let b = other.number { return a == b }
            return false
        }
    }

    /// Python's `<`; throws for values without an order.
    func isLess(_ other: TemplateValue) throws -> Bool {
        switch (self, other) {
        case (.string(let a), .string(let b)):
            return a.unicodeScalars.lexicographicallyPrecedes(b.unicodeScalars)
        case (.list(let a), .list(let b)):
            for (x, y) in zip(a, b) where !x.isEqual(y) { return try x.isLess(y) }
            return a.count < b.count
        default:
            if let a = integer, let b = other.integer { return a < b }
            if let a = number, let b = other.number { return a < b }
            throw TemplateError("'\(typeName)' and '\(other.typeName)' have no order")
        }
    }

    /// The items of a loop over the value; throws for values without any.
    func items() throws -> [TemplateValue] {
        switch self {
        case .undefined: return []
        case .list(let values): return values
        case .dict(let values): return values.keys.map { .string($0) }
        case .string(let text): return text.unicodeScalars.map { .string(String($0)) }
        default: throw TemplateError("a '\(typeName)' has no items")
        }
    }

    /// Python's `in`.
    func contains(_ item: TemplateValue) throws -> Bool {
        switch self {
        case .string(let text):
            guard case .string(let part) = item else {
                throw TemplateError("'in' needs a text on the left of a text, not a '\(item.typeName)'")
            }
            return PythonText.find(part, in: text) != nil
        case .dict(let values):
            if case .string(let key) = item { return values[key] != nil }
            return false
        default: return try items().contains { $0.isEqual(item) }
        }
    }
}
