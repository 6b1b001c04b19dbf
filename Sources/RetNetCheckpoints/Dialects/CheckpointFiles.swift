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
    /// A folder without tensors can be opened; ``tensors`` throws the reason then. With `sharesFiles`, tensors use the pages
    /// of the files where they can.
    init(path: String, sharesFiles: Bool = false) throws {
        self.path = path
        var isFolder: ObjCBool = false
        guard FileManager.default.fileExists(atPath: path, isDirectory: &isFolder) else {
            throw StorageError.notFound(path: path)
        }
        if isFolder.boolValue {
            tensorResult = Result { try Self.tensors(folder: path, sharesFiles) }
            fields = try Self.document(path + "/" + ConfigurationFile.fileName) ?? Self.bag(tensorResult)
        } else {
            tensorResult = .success(try Self.tensors(file: path, sharesFiles))
            fields = try Self.document(beside: path) ?? Self.bag(tensorResult)
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

    /// Returns true if a folder holds tensors under the names that are usual in the field.
    static func hasTensors(folder path: String) -> Bool {
        hasSafetensors(folder: path) || PyTorchFolder.recognizes(path)
    }

    private static func hasSafetensors(folder path: String) -> Bool {
        [SafetensorsFolder.indexFileName, SafetensorsFolder.singleFileName].contains {
            FileManager.default.fileExists(atPath: path + "/" + $0)
        }
    }

    /// The folder of other files: the checkpoint itself, or that of the file.
    static func folder(of path: String) -> String {
        var isFolder: ObjCBool = false
        guard FileManager.default.fileExists(atPath: path, isDirectory: &isFolder), !isFolder.boolValue else {
            return path
        }
        return URL(fileURLWithPath: path).deletingLastPathComponent().path
    }

    /// Opens the tensors of a folder: safetensors, or else files of PyTorch; throws `StorageError`.
    static func tensors(folder path: String, _ sharesFiles: Bool = false) throws -> any TensorSource {
        // Folders with both hold the same model twice.
        !hasSafetensors(folder: path) && PyTorchFolder.recognizes(path)
            ? try PyTorchTensors(folder: path, sharesFiles: sharesFiles)
            : try SafetensorsTensors(folder: path, sharesFiles: sharesFiles)
    }

    private static func tensors(file path: String, _ sharesFiles: Bool) throws -> any TensorSource {
        try PyTorchFile.recognizes(path)
            ? PyTorchTensors(file: path, sharesFiles: sharesFiles)
            : SafetensorsTensors(file: path, sharesFiles: sharesFiles)
    }

    /// The arguments that a training program left beside the tensors: as they are, in `args`, or in `cfg.model`.
    private static func bag(_ tensors: Result<any TensorSource, any Error>) -> SettingsDocument {
        let values = (try? tensors.get().values) ?? .null
        let places = [values.value(at: "args"), values.value(at: "cfg.model"), values.value(at: "cfg")]
        return SettingsDocument(places.lazy.compactMap { $0?.object }.first.map { .object($0) } ?? values)
    }

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
