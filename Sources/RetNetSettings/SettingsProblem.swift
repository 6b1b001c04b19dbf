/// One thing that is wrong with a tree of settings.
public struct SettingsProblem: Sendable, Equatable, CustomStringConvertible {
    /// The sort of problem.
    public enum Kind: Sendable, Equatable {
        /// The text is not YAML or JSON.
        case syntax
        /// A setting that must be there is not.
        case missing
        /// A value of the wrong type or outside the allowed range.
        case wrongValue
        /// A name that means nothing here.
        case unknownKey
        /// Values that are allowed one by one but not together.
        case contradiction
    }

    /// The sort of problem.
    public var kind: Kind
    /// The names from the root, as in `optimizer.betas[0]`; empty for the root.
    public var path: String
    /// What was found, if anything.
    public var found: String?
    /// What must be there, as the end of a sentence that begins with "must be"; or the whole remedy.
    public var allowed: String
    /// A known name or value that was probably meant.
    public var suggestion: String?
    /// Where the setting stands in its file.
    public var position: SettingsPosition?

    /// All parts.
    public init(
        kind: Kind, path: String, found: String? = nil, allowed: String, suggestion: String? = nil,
        position: SettingsPosition? = nil
    ) {
        self.kind = kind
        self.path = path
        self.found = found
        self.allowed = allowed
        self.suggestion = suggestion
        self.position = position
    }

    /// The problem without its position, for people.
    public var description: String {
        let place = path.isEmpty ? "" : "\(path): "
        let meant = suggestion.map { "; did you mean '\($0)'?" }
        switch kind {
        case .syntax: return place + allowed
        case .missing: return place + "missing; it must be \(allowed)"
        case .wrongValue:
            return place + "found \(found ?? "nothing"), but it must be \(allowed)" + (meant ?? "")
        case .unknownKey: return place + "unknown setting" + (meant ?? "; known here: \(allowed)")
        case .contradiction: return place + (found.map { "found \($0), but " } ?? "") + allowed
        }
    }

    /// The problem with its line, where that is known.
    public var located: String {
        position.map { "line \($0.line), column \($0.column): \(description)" } ?? description
    }
}
