import Foundation
import RetNetModels
import RetNetSettings
import RetNetStorage
import RetNetText
import RetNetTorch

/// A T5 model as a folder in the form of Hugging Face's checkpoints.
///
/// It holds `config.json`, `model.safetensors` (or shards with an index), `generation_config.json`, the files of a
/// tokenizer and `checksums.json`. Folders without the last three can be read, and folders written here can be read
/// by Transformers.
public enum T5Folder {
    private static let maximumByteCount = 1 << 24

    /// Whether a folder holds a T5 model, by its `config.json`; false if it cannot be read.
    public static func recognizes(_ path: String) -> Bool {
        guard let text = try? configurationText(of: path), let document = try? SettingsDocument(json: text)
        else { return false }
        return T5Configuration.recognizes(document.tree)
    }

    /// Reads the architecture alone, without weights; throws `StorageError` or `SettingsError`.
    public static func configuration(of path: String) throws -> T5Configuration {
        try T5Configuration(
            huggingFaceJSON: configurationText(of: path), sourceName: path + "/" + ConfigurationFile.fileName)
    }

    /// Saves a model as a folder that is either whole or not there.
    ///
    /// Weights are written in `elementType`, by default as they are. Throws ``CheckpointError`` that names every
    /// tensor that is not finite, `StorageError.alreadyExists` if the folder exists and `replacing` is false, and
    /// other `StorageError`s; then an earlier version is untouched.
    public static func save(
        _ model: T5Model, tokenizer: (any Tokenizer)? = nil, to path: String, elementType: ElementType? = nil,
        generationDefaults: GenerationDefaults? = nil,
        maximumShardByteCount: Int = ModelFolder.defaultShardByteCount, replacing: Bool = false
    ) throws {
        try ModelFolder.checkFinite(model.parameters, elementType: elementType, path: path)
        try AtomicFolder.create(at: path, replacing: replacing) { folder in
            try write(
                model, tokenizer: tokenizer, into: folder, elementType: elementType,
                generationDefaults: generationDefaults, maximumShardByteCount: maximumShardByteCount)
        }
    }

    /// Writes a model's files into an existing folder, for use inside `AtomicFolder.create`.
    ///
    /// `extra` joins `config.json`: what a stack that is not plain needs to be made again. Throws `StorageError`.
    public static func write(
        _ model: T5Model, tokenizer: (any Tokenizer)? = nil, into folder: String,
        elementType: ElementType? = nil, generationDefaults: GenerationDefaults? = nil,
        extra: SettingsTree? = nil, maximumShardByteCount: Int = ModelFolder.defaultShardByteCount
    ) throws {
        let type = elementType ?? model.parameters.elementType
        let named: SettingsTree = ["dtype": .string(type.rawValue), "torch_dtype": .string(type.rawValue)]
        var tree = model.configuration.huggingFaceTree.merging(named)
        if let extra { tree = tree.merging(extra) }
        try AtomicFile.write(Data(try tree.jsonText().utf8), to: folder + "/" + ConfigurationFile.fileName)
        try ModelFolder.writeWeights(model.parameters, into: folder, elementType, maximumShardByteCount)
        try tokenizer?.save(to: folder)
        try (generationDefaults ?? defaults(model.configuration)).save(to: folder)
    }

    private static func configurationText(of path: String) throws -> String {
        try JSONFile.text(
            path + "/" + ConfigurationFile.fileName, maximumByteCount: maximumByteCount)
    }

    private static func defaults(_ configuration: T5Configuration) -> GenerationDefaults {
        var defaults = GenerationDefaults()
        defaults.endTokens = Int32(exactly: configuration.endToken).map { [$0] }
        defaults.paddingToken = Int32(exactly: configuration.paddingToken)
        defaults.decoderStartToken = Int32(exactly: configuration.startToken)
        return defaults
    }
}
