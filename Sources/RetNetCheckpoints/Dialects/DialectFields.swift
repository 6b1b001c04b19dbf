import RetNetModels
import RetNetSettings

extension SettingsReader {
    /// Reports a field whose value has an effect that this package does not have; allowed values pass, and so does absence.
    public func refuse(_ key: String, unless allowed: [SettingsTree], _ reason: String) {
        guard let found = tree(key), !allowed.contains(found) else { return }
        reportContradiction(key, reason)
    }

    /// Reports a text other than the given ones; absence stands for the first.
    public func expect(_ key: String, _ allowed: [String]) {
        guard let found = optionalString(key), !allowed.contains(found) else { return }
        report(key, allowed: "'\(allowed.joined(separator: "' or '"))', as all that is known here")
    }

    /// Reads a text that names one of several values; absence stands for `default`, without which it is reported.
    public func choice<Value>(_ key: String, _ values: [(String, Value)], default: Value? = nil) -> Value? {
        let names = values.map(\.0)
        guard let found = optionalString(key) else {
            if `default` == nil, tree(key) == nil { report(key, allowed: "one of \(Self.quoted(names))") }
            return `default`
        }
        if let match = values.first(where: { $0.0 == found }) { return match.1 }
        report(
            key, allowed: "one of \(Self.quoted(names)), as all that is known here",
            suggestion: NameMatcher.nearest(to: found, in: names))
        return `default`
    }

    private static func quoted(_ names: [String]) -> String {
        names.map { "'\($0)'" }.joined(separator: ", ")
    }

    /// Reads the special tokens of a Hugging Face configuration; ids outside the vocabulary have no effect there.
    public func specialTokens(vocabularySize: Int) -> SpecialTokens {
        SpecialTokens(
            begin: tokens("bos_token_id", vocabularySize).first,
            end: endTokens(vocabularySize: vocabularySize).first,
            padding: tokens("pad_token_id", vocabularySize).first)
    }

    /// Reads all tokens that end a text in a Hugging Face configuration: one id or a list of them.
    public func endTokens(vocabularySize: Int) -> [Int] { tokens("eos_token_id", vocabularySize) }

    private func tokens(_ key: String, _ vocabularySize: Int) -> [Int] {
        guard let given = tree(key) else { return [] }
        return (given.array ?? [given]).compactMap(\.int).filter { (0..<vocabularySize).contains($0) }
    }
}

extension SettingsObject {
    /// Adds the special tokens of a Hugging Face configuration.
    public mutating func add(_ tokens: SpecialTokens) {
        self["bos_token_id"] = tokens.begin.map { .int($0) } ?? .null
        self["eos_token_id"] = tokens.end.map { .int($0) } ?? .null
        self["pad_token_id"] = tokens.padding.map { .int($0) } ?? .null
    }
}
