/// A value whose settings are declared once, in a table.
///
/// The table determines reading, writing, ranges, defaults and the rows of the reference:
///
///     struct ScheduleConfiguration: DeclaredSettings {
///         var warmupStepCount = 375
///         static let standard = ScheduleConfiguration()
///         static var declarations: [Setting<Self>] {
///             [.int("warmup", \.warmupStepCount, in: 0...1_000_000, "Steps of linear warm-up.")]
///         }
///     }
public protocol DeclaredSettings: SettingsRepresentable, SettingsDocumented {
    /// Value with the defaults, over which settings are read.
    static var standard: Self { get }
    /// All settings in the order in which they are written.
    static var declarations: [Setting<Self>] { get }
    /// Reports settings that are allowed separately but not together; called only if each setting is valid.
    func reportContradictions(to reader: SettingsReader)
}

extension DeclaredSettings {
    /// Reports nothing.
    public func reportContradictions(to reader: SettingsReader) {}

    /// Reads all declared settings over the defaults.
    public init(reading reader: SettingsReader) { self.init(reader, over: .standard) }

    /// Reads the given settings over a base; without a reader the value is the base.
    public init(_ reader: SettingsReader?, over base: Self) {
        self = base
        guard let reader else { return }
        for setting in Self.declarations { setting.read(reader, &self) }
        // With placeholders among the values, contradictions would mean nothing.
        if !reader.hasProblems { reportContradictions(to: reader) }
    }

    /// Settings that apply, under their names in configuration files.
    public var settings: SettingsTree {
        Setting.tree(Self.declarations, of: self)
    }

    /// One row per setting, objects within included.
    public static var settingsRows: [SettingsRow] {
        declarations.flatMap { $0.rows(standard) }
    }
}

/// The declaration of one setting of `Root`: name, property, allowed values and description.
public struct Setting<Root> {
    /// Name in configuration files.
    public let key: String
    let help: String
    let values: String
    var readValue: (SettingsReader, inout Root) -> Void
    var writeValue: (Root) -> SettingsTree?
    /// Made for the reference only: reading a file would otherwise begin with the rows of every mixer.
    var nestedRows: () -> [SettingsRow]
    /// False if the setting must be given, or its default depends on others.
    var hasFixedDefault = true
    var condition: Condition?
    /// A value that is not written, for settings added to a type of which there are files.
    var omittedValue: SettingsTree?

    struct Condition {
        let text: String
        let holds: (Root) -> Bool
        let refusal: String?
    }

    /// Creates a setting with custom reading and writing; `values` completes "must be" in errors and in the reference.
    public init(
        _ key: String, values: String, _ help: String,
        nestedRows: @escaping @autoclosure () -> [SettingsRow] = [],
        read: @escaping (SettingsReader, inout Root) -> Void, write: @escaping (Root) -> SettingsTree?
    ) {
        self.key = key
        self.help = help
        self.values = values
        self.nestedRows = nestedRows
        readValue = read
        writeValue = write
    }

    /// Returns the setting under a condition, without which it is neither read nor written.
    ///
    /// `text` names the condition in the reference, as in `kind: adafactor`. With a refusal, giving the setting
    /// without the condition is a contradiction with that text; otherwise the name is unknown then.
    public func when(_ text: String, _ holds: @escaping (Root) -> Bool, otherwise refusal: String? = nil)
        -> Setting
    {
        var setting = self
        setting.condition = Condition(text: text, holds: holds, refusal: refusal)
        return setting
    }

    /// Returns the setting under a condition, without which it is read but not written.
    public func writtenWhen(_ holds: @escaping (Root) -> Bool) -> Setting {
        var setting = self
        setting.writeValue = { holds($0) ? writeValue($0) : nil }
        return setting
    }

    /// Returns the setting written only if it differs from the default.
    ///
    /// For settings added to a type of which there are files: those of values without them stay the same, byte for byte,
    /// and so do fingerprints of them.
    public func writtenIfChanged() -> Setting where Root: DeclaredSettings {
        var setting = self
        setting.omittedValue = writeValue(Root.standard)
        return setting
    }

    /// Returns the setting read only if another one is not given; both together are a contradiction.
    public func unlessGiven(_ other: String, otherwise refusal: String) -> Setting {
        var setting = self
        setting.readValue = { reader, root in
            guard reader.has(other) else { return readValue(reader, &root) }
            if reader.has(key) { reader.reportContradiction(key, refusal) }
        }
        return setting
    }

    func read(_ reader: SettingsReader, _ root: inout Root) {
        if let condition, !condition.holds(root) {
            if let refusal = condition.refusal, reader.has(key) { reader.reportContradiction(key, refusal) }
            return
        }
        readValue(reader, &root)
    }

    func write(_ root: Root) -> SettingsTree? {
        if let condition, !condition.holds(root) { return nil }
        let value = writeValue(root)
        return value == omittedValue ? nil : value
    }

    /// Returns the settings that apply to a value, as one object.
    static func tree(_ settings: [Setting], of root: Root) -> SettingsTree {
        var object = SettingsObject()
        for setting in settings {
            if let value = setting.write(root) { object[setting.key] = value }
        }
        return .object(object)
    }

    func rows(_ standard: Root) -> [SettingsRow] {
        let nested = nestedRows()
        if !nested.isEmpty { return nested.map { $0.nested(in: key, condition: condition?.text) } }
        let text = hasFixedDefault ? writeValue(standard).map(\.flowText) : nil
        return [
            SettingsRow(path: key, values: values, defaultText: text, help: help, condition: condition?.text)
        ]
    }
}
