/// A value for one setting, as in `optimizer.learning_rate=3e-4`.
public struct SettingsAssignment: Sendable, Equatable {
    /// The dotted path of the setting.
    public var path: String
    /// The value; null resets the setting to its default.
    public var value: SettingsTree

    /// An assignment of a value.
    public init(_ path: String, _ value: SettingsTree) {
        self.path = path
        self.value = value
    }

    /// Reads `path=value`, the value as YAML; throws ``SettingsError``.
    public init(parsing text: String) throws {
        let (path, valueText) = try SettingsTree.split(assignment: text)
        self.init(path, try SettingsTree.value(of: path, yaml: valueText))
    }

    /// The path of the list that the assignment changes one element of; nil where it assigns no element.
    public var listPath: String? {
        path.firstIndex(of: "[").map { String(path[..<$0]) }
    }
}

extension SettingsDocument {
    /// Applies one assignment; throws ``SettingsError`` if its path does not fit the tree.
    public mutating func apply(_ assignment: SettingsAssignment) throws {
        try set(assignment.path, to: assignment.value)
    }
}
