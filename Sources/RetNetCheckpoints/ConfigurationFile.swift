import RetNetModels
import RetNetSettings

/// The `config.json` of a model folder.
enum ConfigurationFile {
    static let fileName = "config.json"
    private static let maximumByteCount = 1 << 24

    /// Reads the architecture; throws `StorageError`, and `SettingsError` with every problem.
    static func read(folder: String) throws -> LanguageModelConfiguration {
        let path = folder + "/" + fileName
        let text = try JSONFile.text(path, maximumByteCount: maximumByteCount)
        return try LanguageModelConfiguration(json: text, sourceName: path)
    }
}
