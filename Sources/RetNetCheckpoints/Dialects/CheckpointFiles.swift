import Foundation
import RetNetSettings
import RetNetStorage

/// The files of a checkpoint as another project keeps them: a configuration and tensors.
struct CheckpointFiles {
    /// The folder, or the file with the tensors.
    let path: String
    /// `config.json`, a JSON file beside the tensors, or the argument bag among them; empty for none.
    let fields: SettingsDocument
    private let tensorResult: Result<any TensorSource, any Error>

    /// Opens a folder, or one file with tensors; throws `StorageError` or `SettingsError`.
    ///
    /// A folder without tensors can be opened; ``tensors`` throws the reason then.
    init(path: String) throws {
        self.path = path
        var isFolder: ObjCBool = false
        guard FileManager.default.fileExists(atPath: path, isDirectory: &isFolder) else {
            throw StorageError.notFound(path: path)
        }
        if isFolder.boolValue {
            tensorResult = Result { try SafetensorsTensors(folder: path) }
            fields = try Self.document(path + "/" + ConfigurationFile.fileName) ?? Self.none
        } else {
            let tensors = try SafetensorsTensors(file: path)
            tensorResult = .success(tensors)
            fields = try Self.document(beside: path) ?? Self.none
        }
    }

    /// The tensors; throws `StorageError` if there are none or they cannot be read.
    var tensors: any TensorSource {
        get throws { try tensorResult.get() }
    }

    /// The configuration and the names of the tensors, which tell the dialect.
    var traits: CheckpointTraits {
        CheckpointTraits(
            fields: fields.tree, tensors: TensorNames((try? tensorResult.get())?.entries ?? []))
    }

    private static var none: SettingsDocument { SettingsDocument(.null) }

    private static func document(_ path: String) throws -> SettingsDocument? {
        guard FileManager.default.fileExists(atPath: path) else { return nil }
        return try SettingsDocument(
            pythonJSON: JSONFile.text(path, maximumByteCount: ConfigurationFile.maximumByteCount),
            sourceName: path)
    }

    /// The file of the same name with the extension `json`, or the `config.json` of the folder.
    private static func document(beside path: String) throws -> SettingsDocument? {
        let url = URL(fileURLWithPath: path)
        let named = url.deletingPathExtension().appendingPathExtension("json").path
        let general = url.deletingLastPathComponent().appendingPathComponent(ConfigurationFile.fileName).path
        return try document(named) ?? document(general)
    }
}
