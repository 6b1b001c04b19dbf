import Foundation

extension TemplateFunctions {
    // MARK: Tests

    static func test(_ name: String, _ value: TemplateValue, _ arguments: TemplateArguments) throws -> Bool {
        let other = arguments.positional.first
        func operand() throws -> TemplateValue {
            guard let other else { throw TemplateError("the test '\(name)' needs a value") }
            return other
        }
        func integer() throws -> Int {
            guard let number = value.integer else {
                throw TemplateError("the test '\(name)' needs a whole number")
            }
            return number
        }
        switch name {
        case "defined": return value.typeName != "undefined"
        case "undefined": return value.typeName == "undefined"
        case "none": return value.typeName == "None"
        case "boolean": return value.typeName == "bool"
        case "true": return value.typeName == "bool" && value.isTrue
        case "false": return value.typeName == "bool" && !value.isTrue
        case "integer": return value.typeName == "int"
        case "float": return value.typeName == "float"
        case "number": return value.number != nil
        case "string": return value.typeName == "str"
        case "mapping": return value.typeName == "dict"
        case "iterable", "sequence": return ["str", "list", "dict", "undefined"].contains(value.typeName)
        case "callable": return value.typeName == "function"
        case "odd": return try integer() % 2 != 0
        case "even": return try integer() % 2 == 0
        case "divisibleby":
            guard let divisor = try operand().integer, divisor != 0 else {
                throw TemplateError("a division by 0")
            }
            return try integer() % divisor == 0
        case "eq", "equalto", "==": return value.isEqual(try operand())
        case "ne", "!=": return !value.isEqual(try operand())
        case "lt", "lessthan", "<": return try value.isLess(try operand())
        case "gt", "greaterthan", ">": return try operand().isLess(value)
        case "le", "<=": return try compare("<=", value, try operand())
        case "ge", ">=": return try compare(">=", value, try operand())
        case "in": return try operand().contains(value)
        case "sameas":
            let operand = try operand()
            return value.typeName == operand.typeName && value.isEqual(operand)
        case "lower": return value.text == value.text.lowercased()
        case "upper": return value.text == value.text.uppercased()
        default: throw TemplateError("the test '\(name)' is not supported")
        }
    }

    // MARK: Filters

    static func filter(_ name: String, _ value: TemplateValue, _ arguments: TemplateArguments) throws
        -> TemplateValue
    {
        switch name {
        case "trim":
            var characters: String?
            if case .string(let text)? = arguments.value(0, "chars") { characters = text }
            return .string(PythonText.strip(value.text, characters))
        case "upper": return .string(value.text.uppercased())
        case "lower": return .string(value.text.lowercased())
        case "capitalize": return .string(PythonText.capitalized(value.text))
        case "title": return .string(PythonText.titled(value.text))
        case "string": return .string(value.text)
        case "safe": return value
        case "escape", "e": return .string(escaped(value.text))
        case "length", "count": return .int(try length(value))
        case "first": return try value.items().first ?? .undefined("first")
        case "last": return try value.items().last ?? .undefined("last")
        case "list": return .list(try value.items())
        case "reverse":
            if case .string(let text) = value {
                return .string(PythonText.string(text.unicodeScalars.reversed()))
            }
            return .list(try value.items().reversed())
        case "default", "d":
            let other = arguments.value(0, "default_value") ?? .string("")
            let takesFalse = arguments.value(1, "boolean")?.isTrue ?? false
            return value.typeName == "undefined" || (takesFalse && !value.isTrue) ? other : value
        case "join":
            let attribute = arguments.value(1, "attribute")
            let items = try value.items().map { try attribute == nil ? $0 : member(attribute, $0) }
            return .string(items.map(\.text).joined(separator: arguments.value(0, "d")?.text ?? ""))
        case "replace":
            guard let old = arguments.value(0, "old"), let new = arguments.value(1, "new") else {
                throw TemplateError("'replace' needs two texts")
            }
            let count = arguments.value(2, "count")?.integer ?? .max
            return .string(PythonText.replace(old.text, with: new.text, in: value.text, count: max(0, count)))
        case "int": return .int(integer(value) ?? arguments.value(0, "default")?.integer ?? 0)
        case "float":
            if case .string(let text) = value {
                return .double(
                    Double(PythonText.strip(text, nil)) ?? arguments.value(0, "default")?.number ?? 0)
            }
            return .double(value.number ?? 0)
        case "abs":
            if let number = value.integer { return .int(number == .min ? .max : abs(number)) }
            return .double(abs(value.number ?? 0))
        case "round":
            guard let number = value.number else { throw TemplateError("'round' needs a number") }
            let scale = pow(10, Double(arguments.value(0, "precision")?.integer ?? 0))
            return .double((number * scale).rounded(.toNearestOrEven) / scale)
        case "items": return .list(try dictionary(value).pairs.map { .list([.string($0.key), $0.value]) })
        case "dictsort":
            let pairs = try dictionary(value).pairs.sorted { $0.key.lowercased() < $1.key.lowercased() }
            return .list(pairs.map { .list([.string($0.key), $0.value]) })
        case "tojson": return .string(try json(value, arguments))
        case "indent": return .string(indented(value.text, arguments))
        case "map": return .list(try mapped(value, arguments))
        case "select", "reject":
            return .list(try chosen(value, arguments, keeps: name == "select") { $0 })
        case "selectattr", "rejectattr":
            var rest = arguments
            guard !rest.positional.isEmpty else { throw TemplateError("'\(name)' needs an attribute") }
            let attribute = rest.positional.removeFirst()
            return .list(
                try chosen(value, rest, keeps: name == "selectattr") { try member(attribute, $0) })
        case "sort", "unique", "min", "max", "sum": return try collected(name, value, arguments)
        default: throw TemplateError("the filter '\(name)' is not supported")
        }
    }

    private static func dictionary(_ value: TemplateValue) throws -> TemplateDictionary {
        switch value {
        case .dict(let values): return values
        case .undefined: return TemplateDictionary()
        default: throw TemplateError("a '\(value.typeName)' has no pairs")
        }
    }

    private static func length(_ value: TemplateValue) throws -> Int {
        switch value {
        case .string(let text): text.unicodeScalars.count
        default: try value.items().count
        }
    }

    private static func escaped(_ text: String) -> String {
        let pairs = [("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ("'", "&#39;"), ("\"", "&#34;")]
        return pairs.reduce(text) { PythonText.replace($1.0, with: $1.1, in: $0) }
    }

    private static func integer(_ value: TemplateValue) -> Int? {
        switch value {
        case .string(let text):
            let text = PythonText.strip(text, nil)
            return Int(text) ?? Double(text).flatMap { Int(exactly: $0.rounded(.towardZero)) }
        case .double(let number): return Int(exactly: number.rounded(.towardZero))
        default: return value.integer
        }
    }

    private static func indented(_ text: String, _ arguments: TemplateArguments) -> String {
        var space = String(
            repeating: " ", count: max(0, min(1000, arguments.value(0, "width")?.integer ?? 4)))
        if case .string(let own)? = arguments.value(0, "width") { space = own }
        let indentsFirst = arguments.value(1, "first")?.isTrue ?? false
        let indentsBlank = arguments.value(2, "blank")?.isTrue ?? false
        var lines: [String] = []
        for (index, line) in text.components(separatedBy: "\n").enumerated() {
            let goesIn = index == 0 ? indentsFirst : indentsBlank || !line.isEmpty
            lines.append((goesIn ? space : "") + line)
        }
        return lines.joined(separator: "\n")
    }

    /// An attribute of an item, or one of an attribute: `function.name`.
    private static func member(_ path: TemplateValue?, _ item: TemplateValue) throws -> TemplateValue {
        guard case .string(let text)? = path else {
            return try path.map { try self.item($0, of: item) } ?? item
        }
        return try text.split(separator: ".").reduce(item) { base, part in
            if case .dict(let values) = base { return values[String(part)] ?? .undefined(String(part)) }
            return try self.item(Int(part).map { .int($0) } ?? .string(String(part)), of: base)
        }
    }

    private static func mapped(_ value: TemplateValue, _ arguments: TemplateArguments) throws
        -> [TemplateValue]
    {
        if let attribute = arguments.named["attribute"] {
            let other = arguments.named["default"]
            return try value.items().map {
                let found = try member(attribute, $0)
                return found.typeName == "undefined" ? other ?? found : found
            }
        }
        var rest = arguments
        guard case .string(let name)? = rest.positional.first else {
            throw TemplateError("'map' needs a filter")
        }
        rest.positional.removeFirst()
        return try value.items().map { try filter(name, $0, rest) }
    }

    private static func chosen(
        _ value: TemplateValue, _ arguments: TemplateArguments, keeps: Bool,
        _ part: (TemplateValue) throws -> TemplateValue
    ) throws -> [TemplateValue] {
        var rest = arguments
        var name: String?
        if case .string(let text)? = rest.positional.first {
            name = text
            rest.positional.removeFirst()
        }
        return try value.items().filter { item in
            let part = try part(item)
            return try name.map { try test($0, part, rest) } ?? part.isTrue == keeps
        }
    }

    private static func collected(_ name: String, _ value: TemplateValue, _ arguments: TemplateArguments)
        throws
        -> TemplateValue
    {
        let attribute = arguments.named["attribute"]
        let isExact = arguments.named["case_sensitive"]?.isTrue ?? false
        func key(_ item: TemplateValue) throws -> TemplateValue {
            let key = try member(attribute, item)
            guard case .string(let text) = key, !isExact else { return key }
            return .string(text.lowercased())
        }
        let items = try value.items()
        switch name {
        case "sum":
            let start = arguments.named["start"] ?? .int(0)
            return try items.reduce(start) { try binary("+", $0, try member(attribute, $1)) }
        case "unique":
            var keys: [TemplateValue] = []
            return .list(
                try items.filter { item in
                    let key = try key(item)
                    guard !keys.contains(where: { $0.isEqual(key) }) else { return false }
                    keys.append(key)
                    return true
                })
        case "sort":
            let isReversed = (arguments.named["reverse"] ?? arguments.positional.first)?.isTrue ?? false
            let pairs = try items.map { (try key($0), $0) }
            // Insertion keeps the order of equal items, and its comparisons may fail.
            var sorted: [(TemplateValue, TemplateValue)] = []
            for pair in pairs {
                var place = sorted.count
                while place > 0,
                    try isReversed ? sorted[place - 1].0.isLess(pair.0) : pair.0.isLess(sorted[place - 1].0)
                { place -= 1 }
                sorted.insert(pair, at: place)
            }
            return .list(sorted.map(\.1))
        default:
            guard var best = items.first else { return .undefined(name) }
            for item in items.dropFirst() {
                let isLess = try key(item).isLess(try key(best))
                let isGreater = try key(best).isLess(try key(item))
                if name == "min" ? isLess : isGreater { best = item }
            }
            return best
        }
    }

    // MARK: JSON

    /// Python's `json.dumps` with `ensure_ascii=False`, as Transformers has it.
    private static func json(_ value: TemplateValue, _ arguments: TemplateArguments) throws -> String {
        // The first argument is `ensure_ascii`, the second `indent`.
        let isASCII = arguments.value(0, "ensure_ascii")?.isTrue ?? false
        let width = arguments.value(1, "indent")?.integer
        let sorts = arguments.value(3, "sort_keys")?.isTrue ?? false
        var separators = (item: width == nil ? ", " : ",", key: ": ")
        if case .list(let pair)? = arguments.value(2, "separators"), pair.count == 2 {
            separators = (pair[0].text, pair[1].text)
        }
        var text = ""
        func newline(_ depth: Int) {
            if let width { text += "\n" + String(repeating: " ", count: max(0, min(64, width)) * depth) }
        }
        func write(_ value: TemplateValue, _ depth: Int) throws {
            switch value {
            case .none: text += "null"
            case .bool(let value): text += value ? "true" : "false"
            case .int(let value): text += String(value)
            case .double(let value):
                text +=
                    value.isFinite
                    ? TemplateValue.representation(of: value)
                    : value.isNaN ? "NaN" : value < 0 ? "-Infinity" : "Infinity"
            case .string(let value): text += quoted(value, isASCII)
            case .list(let values):
                text += "["
                for (index, item) in values.enumerated() {
                    if index > 0 { text += separators.item }
                    newline(depth + 1)
                    try write(item, depth + 1)
                }
                if !values.isEmpty { newline(depth) }
                text += "]"
            case .dict(let values):
                text += "{"
                let pairs =
                    sorts
                    ? values.pairs.sorted {
                        $0.key.unicodeScalars.lexicographicallyPrecedes($1.key.unicodeScalars)
                    } : values.pairs
                for (index, pair) in pairs.enumerated() {
                    if index > 0 { text += separators.item }
                    newline(depth + 1)
                    text += quoted(pair.key, isASCII) + separators.key
                    try write(pair.value, depth + 1)
                }
                if !pairs.isEmpty { newline(depth) }
                text += "}"
            default: throw TemplateError("a value that is '\(value.typeName)' cannot be JSON")
            }
        }
        try write(value, 0)
        return text
    }

    private static func quoted(_ text: String, _ isASCII: Bool) -> String {
        var result = "\""
        func code(_ value: UInt16) {
            let digits = String(value, radix: 16)
            result += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
        }
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": result += "\\\""
            case "\\": result += "\\\\"
            case "\n": result += "\\n"
            case "\r": result += "\\r"
            case "\t": result += "\\t"
            case "\u{8}": result += "\\b"
            case "\u{C}": result += "\\f"
            case "\u{0}"..<" ": code(UInt16(scalar.value))
            case _ where isASCII && scalar.value > 0x7E: for unit in String(scalar).utf16 { code(unit) }
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result + "\""
    }
}
