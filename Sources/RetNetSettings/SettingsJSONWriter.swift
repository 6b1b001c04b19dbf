/// Writes trees as indented JSON, names in their order.
struct SettingsJSONWriter {
    private(set) var text = ""

    mutating func write(_ tree: SettingsTree, path: SettingsPath, indent: Int) throws {
        switch tree {
        case .null: text += "null"
        case .bool(let value): text += "\(value)"
        case .int(let value): text += "\(value)"
        case .string(let value): text += Self.quoted(value)
        case .double(let value):
            guard value.isFinite else {
                throw SettingsError([
                    SettingsProblem(
                        kind: .wrongValue, path: path.text, found: "the number \(value)",
                        allowed: "finite to be written as JSON")
                ])
            }
            text += "\(value)"
        case .array(let elements):
            try writeList(elements.map { (nil, $0) }, "[", "]", path, indent)
        case .object(let object):
            try writeList(object.entries.map { ($0.key, $0.value) }, "{", "}", path, indent)
        }
    }

    private mutating func writeList(
        _ items: [(key: String?, value: SettingsTree)], _ open: String, _ close: String, _ path: SettingsPath,
        _ indent: Int
    ) throws {
        // Lists of numbers and texts stay on one line.
        let isFlat = items.allSatisfy { $0.key == nil && $0.value.isScalar }
        let separator = isFlat ? " " : "\n" + String(repeating: "  ", count: indent + 1)
        text += open
        for (index, item) in items.enumerated() {
            if index > 0 { text += "," }
            if index > 0 || !isFlat { text += separator }
            if let key = item.key { text += Self.quoted(key) + ": " }
            var inner = path
            inner.append(item.key.map { .key($0) } ?? .index(index))
            try write(item.value, path: inner, indent: indent + 1)
        }
        if !isFlat { text += "\n" + String(repeating: "  ", count: indent) }
        text += close
    }

    /// A text as JSON writes it, which is also a double-quoted text of YAML.
    static func quoted(_ text: String) -> String {
        var result = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": result += "\\\""
            case "\\": result += "\\\\"
            case "\n": result += "\\n"
            case "\r": result += "\\r"
            case "\t": result += "\\t"
            // Control characters, and the line separators that YAML would fold.
            case "\u{0}"..<"\u{20}", "\u{7F}"..."\u{9F}", "\u{2028}", "\u{2029}", "\u{FEFF}", "\u{FFFE}",
                "\u{FFFF}":
                let digits = String(scalar.value, radix: 16)
                result += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result + "\""
    }
}

extension SettingsTree {
    /// Whether this is neither a list nor an object.
    var isScalar: Bool {
        switch self {
        case .array, .object: false
        default: true
        }
    }

    /// The tree as indented JSON with names in their order and a line break at the end.
    ///
    /// Throws ``SettingsError`` for numbers that are not finite, which JSON cannot express.
    public func jsonText() throws -> String {
        var writer = SettingsJSONWriter()
        try writer.write(self, path: SettingsPath(), indent: 0)
        return writer.text + "\n"
    }
}
