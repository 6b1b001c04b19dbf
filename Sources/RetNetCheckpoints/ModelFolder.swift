import Foundation
import RetNetLayers
import RetNetModels
import RetNetStorage
import RetNetText
import RetNetTorch

/// A trained model as a folder that other tools of the field can read.
///
/// It holds `config.json`, `model.safetensors` (or shards with `model.safetensors.index.json`), the files of
/// the tokenizer, `generation_config.json` and `checksums.json`. Folders without the last three can be read.
public enum ModelFolder {
    /// The largest data of one weights file in bytes, unless told otherwise: 5 GB as in the field.
    public static let defaultShardByteCount = 5_000_000_000
    static let outputName = "output.weight"
    static let embeddingName = "embedding.weight"

    /// Saves a model as a folder that is either whole or not there.
    ///
    /// Weights are written in `elementType`, by default as they are. Throws ``CheckpointError`` that names
    /// every tensor that is not finite in that type, `StorageError.alreadyExists` if the folder exists and
    /// `replacing` is false, and other `StorageError`s; then an earlier version is untouched.
    public static func save(
        _ model: LanguageModel, tokenizer: (any Tokenizer)?, to path: String, elementType: ElementType? = nil,
        generationDefaults: GenerationDefaults? = nil,
        maximumShardByteCount: Int = ModelFolder.defaultShardByteCount, replacing: Bool = false
    ) throws {
        try checkFinite(model.parameters, elementType: elementType, path: path)
        try AtomicFolder.create(at: path, replacing: replacing) { folder in
            try write(
                model, tokenizer: tokenizer, into: folder, elementType: elementType,
                generationDefaults: generationDefaults, maximumShardByteCount: maximumShardByteCount)
        }
    }

    /// Writes a model's files into an existing folder, for use inside `AtomicFolder.create`.
    ///
    /// Without `generationDefaults`, the special tokens of the tokenizer are written. Throws `StorageError`.
    public static func write(
        _ model: LanguageModel, tokenizer: (any Tokenizer)?, into folder: String,
        elementType: ElementType? = nil, generationDefaults: GenerationDefaults? = nil,
        maximumShardByteCount: Int = ModelFolder.defaultShardByteCount
    ) throws {
        let configuration = try model.configuration.jsonText()
        try AtomicFile.write(Data(configuration.utf8), to: folder + "/" + ConfigurationFile.fileName)
        try writeWeights(model.parameters, into: folder, elementType, maximumShardByteCount)
        try tokenizer?.save(to: folder)
        try (generationDefaults ?? tokenizer.map(specialTokens(of:)) ?? GenerationDefaults()).save(to: folder)
    }

    /// Writes all parameters into one file, or into shards where it would be too large.
    static func writeWeights(
        _ parameters: ParameterStore, into folder: String, _ elementType: ElementType?,
        _ maximumShardByteCount: Int
    ) throws {
        // Other tools refuse files without this entry.
        let writer = SafetensorsWriter(
            parameters.entries.map {
                SafetensorsWriter.Tensor(name: $0.name, $0.tensor, as: elementType)
            }, metadata: ["format": "pt"])
        let type = elementType ?? parameters.elementType
        // Cannot overflow: so many values are in memory.
        let byteCount = parameters.parameterCount * type.byteCount
        if byteCount <= maximumShardByteCount {
            try writer.write(to: folder + "/" + SafetensorsFolder.singleFileName)
        } else {
            try writer.writeShards(in: folder, maximumShardByteCount: maximumShardByteCount)
        }
    }

    static func specialTokens(of tokenizer: any Tokenizer) -> GenerationDefaults {
        var defaults = GenerationDefaults()
        defaults.beginToken = tokenizer.beginToken
        defaults.endTokens = tokenizer.endToken.map { [$0] }
        defaults.paddingToken = tokenizer.paddingToken
        return defaults
    }

    /// A folder that cannot be loaded again must not replace one that can.
    static func checkFinite(_ parameters: ParameterStore, elementType: ElementType?, path: String) throws {
        var problems: [CheckpointProblem] = []
        try withoutGradients {
            for entry in parameters.entries {
                let type = elementType ?? entry.tensor.elementType
                if try !entry.tensor.allFinite() {
                    problems.append(.notFinite(name: entry.name))
                } else if type != entry.tensor.elementType, try !entry.tensor.to(type).allFinite() {
                    problems.append(.overflows(name: entry.name, elementType: type.rawValue))
                }
            }
        }
        guard problems.isEmpty else { throw CheckpointError(path: path, problems: problems) }
    }
}
