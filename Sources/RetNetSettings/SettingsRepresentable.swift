/// A value that is read from settings and written back to them.
public protocol SettingsRepresentable {
    /// Reads the value from one object of settings.
    ///
    /// Problems are noted in the reader, with some allowed value in place of a wrong one; the result counts only
    /// if ``SettingsReader/finish()`` succeeds.
    init(reading reader: SettingsReader)

    /// The value as an object of settings, from which ``init(reading:)`` makes an equal one.
    var settings: SettingsTree { get }
}

extension SettingsRepresentable {
    /// Everything that is wrong with the value, with the names that its settings have; empty if it is sound.
    public func problems() -> [SettingsProblem] {
        // What may be read is what is allowed, so that both have one definition.
        let reader = SettingsReader(settings)
        _ = Self(reading: reader)
        return reader.problems
    }

    /// Throws ``SettingsError`` with everything that is wrong with the value.
    public func validate() throws {
        let problems = problems()
        guard problems.isEmpty else { throw SettingsError(problems, sourceName: "\(Self.self)") }
    }
}
