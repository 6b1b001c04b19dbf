import RetNetStorage

/// A writer of YAML with the same meaning in YAML 1.1 and 1.2; keeps the order of names.
struct SettingsYAMLWriter {
    /// Returns the lines of a tree without indentation.
    func lines(_ tree: SettingsTree) -> [String] {
        switch tree {
        case .object(let object) where !object.isEmpty:
            return object.entries.flatMap { entry -> [String] in
                let key = scalar(.string(entry.key)) + ":"
                if let line = singleLine(entry.value) { return [key + " " + line] }
                return [key] + lines(entry.value).map { "  " + $0 }
            }
        case .array(let elements) where singleLine(tree) == nil:
            return elements.flatMap { element -> [String] in
                let inner = lines(element)
                return inner.enumerated().map { ($0.offset == 0 ? "- " : "  ") + $0.element }
            }
        default: return [singleLine(tree) ?? "{}"]
        }
    }

    /// Returns the tree on one line if it is a scalar, empty, or a list of scalars.
    private func singleLine(_ tree: SettingsTree) -> String? {
        switch tree {
        case .object(let object): return object.isEmpty ? "{}" : nil
        case .array(let elements):
            guard elements.allSatisfy(\.isScalar) else { return nil }
            return "[" + elements.map(scalar).joined(separator: ", ") + "]"
        default: return scalar(tree)
        }
    }

    private func scalar(_ tree: SettingsTree) -> String {
        switch tree {
        case .bool(let value): return "\(value)"
        case .int(let value): return "\(value)"
        case .double(let value): return number(value)
        case .string(let text): return isPlain(text) ? text : text.jsonQuoted
        default: return "null"
        }
    }

    private func number(_ value: Double) -> String {
        if value.isNaN { return ".nan" }
        guard value.isFinite else { return value > 0 ? ".inf" : "-.inf" }
        let text = "\(value)"
        // In YAML 1.1, 1e-05 is a text.
        guard let exponent = text.firstIndex(of: "e"), !text.contains(".") else { return text }
        return text[..<exponent] + ".0" + text[exponent...]
    }

    /// Returns true if the text needs no quotes to be a text for every reader.
    private func isPlain(_ text: String) -> Bool {
        let words = ["yes", "no", "on", "off", "y", "n", "true", "false", "null"]
        guard let first = text.utf8.first, let last = text.utf8.last,
            isLetter(first) || first == UInt8(ascii: "/"),
            last != UInt8(ascii: " "), !words.contains(text.lowercased())
        else { return false }
        return text.utf8.allSatisfy {
            isLetter($0) || (0x30...0x39).contains($0) || "_-./+ ".utf8.contains($0)
        }
    }

    private func isLetter(_ byte: UInt8) -> Bool {
        (0x41...0x5A).contains(byte) || (0x61...0x7A).contains(byte)
    }
}

extension SettingsTree {
    /// Returns the tree as YAML in the order of its names, with a line break at the end.
    public func yamlText() -> String { SettingsYAMLWriter().lines(self).joined(separator: "\n") + "\n" }

    /// The tree as YAML on one line, objects in braces.
    var flowText: String {
        let writer = SettingsYAMLWriter()
        guard case .object(let object) = self, !object.isEmpty else {
            return writer.lines(self).joined(separator: " ")
        }
        return "{" + object.entries.map { "\($0.key): \($0.value.flowText)" }.joined(separator: ", ") + "}"
    }
}
