/// A type whose settings appear in the reference.
public protocol SettingsDocumented {
    /// One row per setting, objects within included, with paths from this type.
    static var settingsRows: [SettingsRow] { get }
}

/// One row of the reference of settings.
public struct SettingsRow: Sendable, Equatable {
    /// Dotted path from the root of the configuration.
    public var path: String
    /// Allowed values, as in error messages.
    public var values: String
    /// Default as YAML; nil if the setting is required or absent by default.
    public var defaultText: String?
    /// Description of the setting, a noun phrase with a full stop.
    public var help: String
    /// Setting that this one depends on, as in `kind: adafactor`; nil if it always applies.
    public var condition: String?

    /// Creates a row from its parts.
    public init(
        path: String, values: String, defaultText: String? = nil, help: String, condition: String? = nil
    ) {
        self.path = path
        self.values = values
        self.defaultText = defaultText
        self.help = help
        self.condition = condition
    }

    /// Returns the row as a part of an object, which may have a condition itself.
    public func nested(in key: String, condition outer: String? = nil) -> SettingsRow {
        var row = self
        row.path = path.hasPrefix("[") ? key + path : "\(key).\(path)"
        let conditions = [outer, condition].compactMap(\.self)
        row.condition = conditions.isEmpty ? nil : conditions.joined(separator: ", ")
        return row
    }
}
