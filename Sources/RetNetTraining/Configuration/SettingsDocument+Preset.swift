import RetNetModels
import RetNetSettings

extension SettingsDocument {
    /// What `model.preset` names, looked up; nil where it is left out.
    ///
    /// Throws `SettingsError` with the place of a name that is not known.
    func preset<Value>(_ lookUp: (String) throws -> Value) throws -> Value? {
        guard let found = tree.value(at: "model.preset"), found != .null else { return nil }
        do {
            return try lookUp(found.string ?? found.summary)
        } catch let error as PresetError {
            let problem = SettingsProblem(
                kind: .contradiction, path: "model.preset", allowed: error.description,
                position: positions["model.preset"])
            throw SettingsError([problem], sourceName: sourceName)
        }
    }
}
