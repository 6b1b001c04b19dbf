import RetNetStorage

/// A reader of JSON that also records the positions of all settings.
struct SettingsJSONReader {
    private(set) var positions: [ExactString: SettingsPosition] = [:]
    private var path = SettingsPath()
    // The last position, from which lines and columns are counted on, so that one long line stays cheap.
    private var position = SettingsPosition(line: 1, column: 1)
    private var offset = 0
    private let bytes: UnsafeRawBufferPointer
    private let isPython: Bool

    /// Reads a JSON text; throws ``SettingsError`` with the position of the problem.
    ///
    /// With `isPython`, the numbers `Infinity`, `-Infinity` and `NaN` are read too.
    static func parse(_ text: String, isPython: Bool = false) throws -> (
        tree: SettingsTree, positions: [ExactString: SettingsPosition]
    ) {
        var text = text
        return try text.withUTF8 { bytes in
            var reader = SettingsJSONReader(bytes: UnsafeRawBufferPointer(bytes), isPython: isPython)
            let tree = try reader.parse()
            return (tree, reader.positions)
        }
    }

    private init(bytes: UnsafeRawBufferPointer, isPython: Bool) {
        self.bytes = bytes
        self.isPython = isPython
    }

    private mutating func parse() throws -> SettingsTree {
        do {
            var scanner = try JSONScanner(bytes)
            scanner.skipByteOrderMark()
            offset = scanner.offset
            let tree = try value(&scanner)
            try scanner.finish()
            return tree
        } catch let fault as JSONFault {
            let (offset, reason) =
                switch fault {
                case .notUTF8(let offset): (offset, "the text is not UTF-8")
                case .syntax(let offset, let reason), .wrongKind(let offset, let reason): (offset, reason)
                case .duplicateName(let name, let offset):
                    (offset, "the name '\(name)' is given twice in the same object")
                }
            throw SettingsError([
                SettingsProblem(
                    kind: .syntax, path: path.text, allowed: reason, position: position(at: offset))
            ])
        }
    }

    private mutating func value(_ scanner: inout JSONScanner) throws -> SettingsTree {
        let first = scanner.peek()
        positions[ExactString(path.text)] = position(at: scanner.offset)
        switch first {
        case UInt8(ascii: "{"):
            var object = SettingsObject()
            try scanner.readObject { scanner, name in
                path.append(.key(name))
                object[name] = try value(&scanner)
                path.removeLast()
            }
            return .object(object)
        case UInt8(ascii: "["):
            var elements: [SettingsTree] = []
            try scanner.readArray { scanner in
                path.append(.index(elements.count))
                elements.append(try value(&scanner))
                path.removeLast()
            }
            return .array(elements)
        default:
            if isPython, let number = scanner.readPythonNumber() { return .double(number) }
            switch try scanner.readScalar() {
            case .null: return .null
            case .bool(let value): return .bool(value)
            case .int(let value): return .int(value)
            case .double(let value): return .double(value)
            case .string(let value): return .string(value)
            }
        }
    }

    private mutating func position(at target: Int) -> SettingsPosition {
        while offset < min(target, bytes.count) {
            let byte = bytes[offset]
            offset += 1
            if byte == 0x0A {
                position = SettingsPosition(line: position.line + 1, column: 1)
            } else if byte & 0xC0 != 0x80 {
                // Continuation bytes are not characters.
                position.column += 1
            }
        }
        return position
    }
}

/// A writer of indented JSON that keeps the order of names.
private struct SettingsJSONWriter {
    private(set) var text = ""

    mutating func write(_ tree: SettingsTree, path: SettingsPath, indent: Int) throws {
        switch tree {
        case .null: text += "null"
        case .bool(let value): text += "\(value)"
        case .int(let value): text += "\(value)"
        case .string(let value): text += value.jsonQuoted
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
            if let key = item.key { text += key.jsonQuoted + ": " }
            var inner = path
            inner.append(item.key.map { .key($0) } ?? .index(index))
            try write(item.value, path: inner, indent: indent + 1)
        }
        if !isFlat { text += "\n" + String(repeating: "  ", count: indent) }
        text += close
    }
}

extension SettingsTree {
    /// True if this is neither a list nor an object.
    var isScalar: Bool {
        switch self {
        case .array, .object: false
        default: true
        }
    }

    /// Returns the tree as indented JSON in the order of its names, with a line break at the end.
    ///
    /// Throws ``SettingsError`` for numbers that are not finite, which JSON cannot express.
    public func jsonText() throws -> String {
        var writer = SettingsJSONWriter()
        try writer.write(self, path: SettingsPath(), indent: 0)
        return writer.text + "\n"
    }
}
