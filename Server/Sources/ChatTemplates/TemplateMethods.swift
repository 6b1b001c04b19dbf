/// The methods of texts, lists and dictionaries that templates call; those that change them do not exist, as in Transformers.
enum TemplateMethods {
    static func method(_ name: String, of base: TemplateValue) -> TemplateFunction? {
        switch base {
        case .string(let text):
            return texts[name].map { body in TemplateFunction(name: name) { try body(text, $0) } }
        case .dict(let values):
            return dictionaries[name].map { body in TemplateFunction(name: name) { try body(values, $0) } }
        case .list(let values):
            guard name == "index" || name == "count" else { return nil }
            return TemplateFunction(name: name) { arguments in
                guard let item = arguments.positional.first else {
                    throw TemplateError("'\(name)' needs a value")
                }
                if name == "count" { return .int(values.count { $0.isEqual(item) }) }
                guard let place = values.firstIndex(where: { $0.isEqual(item) }) else {
                    throw TemplateError("the value is not in the list")
                }
                return .int(place)
            }
        default: return nil
        }
    }

    private static let dictionaries:
        [String: @Sendable (TemplateDictionary, TemplateArguments) throws -> TemplateValue] = [
            "items": { values, _ in .list(values.pairs.map { .list([.string($0.key), $0.value]) }) },
            "keys": { values, _ in .list(values.keys.map { .string($0) }) },
            "values": { values, _ in .list(values.pairs.map(\.value)) },
            "copy": { values, _ in .dict(values) },
            "get": { values, arguments in
                guard let key = arguments.value(0, "key") else { throw TemplateError("'get' needs a key") }
                let other = arguments.value(1, "default") ?? .none
                guard case .string(let name) = key else { return other }
                return values[name] ?? other
            },
        ]

    private static func string(_ arguments: TemplateArguments, _ index: Int, _ name: String) throws -> String
    {
        guard case .string(let text)? = arguments.value(index, name) else {
            throw TemplateError("the argument '\(name)' must be a text")
        }
        return text
    }

    /// The characters that `strip` takes away; nil for white space.
    private static func characters(_ arguments: TemplateArguments) throws -> String? {
        switch arguments.value(0, "chars") {
        case .none?, nil: nil
        case .some: try string(arguments, 0, "chars")
        }
    }

    private static func split(_ text: String, _ arguments: TemplateArguments, fromBack: Bool) throws
        -> TemplateValue
    {
        let limit = arguments.value(1, "maxsplit")?.integer ?? -1
        var separator: String?
        switch arguments.value(0, "sep") {
        case .none?, nil: break
        case .some: separator = try string(arguments, 0, "sep")
        }
        guard let separator else {
            guard !fromBack || limit < 0 else { throw TemplateError("'rsplit' needs a separator") }
            return .list(PythonText.words(text, limit: limit).map { .string($0) })
        }
        return .list(
            try PythonText.split(text, separator, limit: limit, fromBack: fromBack).map { .string($0) })
    }

    /// True if a text begins or ends with a text, or one of several.
    private static func has(_ arguments: TemplateArguments, _ holds: (String) -> Bool) throws -> TemplateValue
    {
        if case .list(let parts)? = arguments.positional.first {
            return .bool(parts.contains { if case .string(let part) = $0 { holds(part) } else { false } })
        }
        return .bool(holds(try string(arguments, 0, "prefix")))
    }

    private static func isAll(_ text: String, _ holds: (Unicode.Scalar) -> Bool) -> TemplateValue {
        .bool(!text.isEmpty && text.unicodeScalars.allSatisfy(holds))
    }

    private static let texts: [String: @Sendable (String, TemplateArguments) throws -> TemplateValue] = [
        "strip": { .string(PythonText.strip($0, try characters($1))) },
        "lstrip": { .string(PythonText.strip($0, try characters($1), end: false)) },
        "rstrip": { .string(PythonText.strip($0, try characters($1), start: false)) },
        "upper": { text, _ in .string(text.uppercased()) },
        "lower": { text, _ in .string(text.lowercased()) },
        "capitalize": { text, _ in .string(PythonText.capitalized(text)) },
        "title": { text, _ in .string(PythonText.titled(text)) },
        "split": { try split($0, $1, fromBack: false) },
        "rsplit": { try split($0, $1, fromBack: true) },
        "splitlines": { text, _ in .list(PythonText.lines(text).map { .string($0) }) },
        "startswith": { text, arguments in try has(arguments) { text.utf8.starts(with: $0.utf8) } },
        "endswith": { text, arguments in
            try has(arguments) { text.utf8.reversed().starts(with: $0.utf8.reversed()) }
        },
        "removeprefix": { text, arguments in
            let part = try string(arguments, 0, "prefix")
            return .string(
                text.utf8.starts(with: part.utf8)
                    ? String(decoding: text.utf8.dropFirst(part.utf8.count), as: UTF8.self) : text)
        },
        "removesuffix": { text, arguments in
            let part = try string(arguments, 0, "suffix")
            let ends = text.utf8.reversed().starts(with: part.utf8.reversed())
            return .string(ends ? String(decoding: text.utf8.dropLast(part.utf8.count), as: UTF8.self) : text)
        },
        "replace": { text, arguments in
            let count = arguments.value(2, "count")?.integer ?? -1
            return .string(
                PythonText.replace(
                    try string(arguments, 0, "old"), with: try string(arguments, 1, "new"), in: text,
                    count: count < 0 ? .max : count))
        },
        "find": { text, arguments in
            guard let place = PythonText.find(try string(arguments, 0, "sub"), in: text) else {
                return .int(-1)
            }
            return .int(String(decoding: text.utf8.prefix(place), as: UTF8.self).unicodeScalars.count)
        },
        "count": { text, arguments in
            .int(
                try PythonText.split(text, try string(arguments, 0, "sub"), limit: -1, fromBack: false).count
                    - 1)
        },
        "join": { text, arguments in
            let parts = try (arguments.positional.first ?? .undefined("")).items()
            return .string(parts.map(\.text).joined(separator: text))
        },
        "isdigit": { text, _ in isAll(text) { $0.properties.generalCategory == .decimalNumber } },
        "isalpha": { text, _ in isAll(text) { $0.properties.isAlphabetic } },
        "isspace": { text, _ in isAll(text, PythonText.isSpace) },
        "isupper": { text, _ in .bool(text != text.lowercased() && text == text.uppercased()) },
        "islower": { text, _ in .bool(text != text.uppercased() && text == text.lowercased()) },
    ]
}
