import RetNetStorage

/// Small text files that hold JSON.
package enum JSONFile {
    /// Reads the text of a file; throws `StorageError`, and `SettingsError` if it is too large or not UTF-8.
    package static func text(_ path: String, maximumByteCount: Int) throws -> String {
        let file = try MappedFile(path: path)
        guard file.byteCount <= maximumByteCount else {
            throw refusal(path, "it has \(file.byteCount) bytes; at most \(maximumByteCount) are read")
        }
        guard let text = file.withUnsafeBytes({ String(validating: $0, as: UTF8.self) }) else {
            throw refusal(path, "it is not UTF-8 text")
        }
        return text
    }

    private static func refusal(_ path: String, _ reason: String) -> SettingsError {
        SettingsError([SettingsProblem(kind: .syntax, path: "", allowed: reason)], sourceName: path)
    }
}
