import Foundation
import RetNetLayers
import RetNetModels
@_exported import RetNetSampling
import RetNetSettings
import RetNetStorage
import RetNetText
import RetNetTorch

/// A trained model as a folder that other tools of the field can read.
///
/// It holds `config.json`, `model.safetensors` (or shards with `model.safetensors.index.json`), the files of
/// the tokenizer, `generation_config.json` and `checksums.json`. Folders without the last three can be read.
public enum ModelFolder {
    /// Default for the largest data of one weights file in bytes: 5 GB, as is usual in the field.
    public static let defaultShardByteCount = 5_000_000_000
    static let outputName = "output.weight"
    static let embeddingName = "embedding.weight"

    /// Saves a model as a folder that is either complete or absent.
    ///
    /// Weights are written in `elementType`, by default in their own. Throws ``CheckpointError`` with every
    /// tensor that is not finite in that type, `StorageError.alreadyExists` if the folder exists and
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
    /// Without `generationDefaults`, the special tokens of the tokenizer are written. `whole` are parameters of which the model
    /// has a part, by name. Throws ``CheckpointError`` for a tokenizer that does not fit the model, and `StorageError`.
    public static func write(
        _ model: LanguageModel, tokenizer: (any Tokenizer)?, into folder: String,
        elementType: ElementType? = nil, generationDefaults: GenerationDefaults? = nil,
        maximumShardByteCount: Int = ModelFolder.defaultShardByteCount, whole: [String: Tensor] = [:]
    ) throws {
        let problems = CheckpointProblem.tokens(of: tokenizer, generationDefaults, for: model.configuration)
        guard problems.isEmpty else { throw CheckpointError(path: folder, problems: problems) }
        let configuration = try model.configuration.jsonText()
        try AtomicFile.write(Data(configuration.utf8), to: folder + "/" + ConfigurationFile.fileName)
        try writeWeights(model.parameters, into: folder, elementType, maximumShardByteCount, whole)
        try tokenizer?.save(to: folder)
        try (generationDefaults ?? tokenizer.map(specialTokens(of:)) ?? GenerationDefaults()).save(to: folder)
    }

    /// Writes all parameters into one file, or into shards where it would be too large.
    static func writeWeights(
        _ parameters: ParameterStore, into folder: String, _ elementType: ElementType?,
        _ maximumShardByteCount: Int, _ whole: [String: Tensor] = [:]
    ) throws {
        let tensors = parameters.entries.map { (name: $0.name, tensor: whole[$0.name] ?? $0.tensor) }
        // Other tools refuse files without this entry.
        let writer = SafetensorsWriter(
            tensors.map { SafetensorsWriter.Tensor(name: $0.name, $0.tensor, as: elementType) },
            metadata: ["format": "pt"])
        let type = elementType ?? parameters.elementType
        // Cannot overflow: so many values are in memory.
        let byteCount = tensors.reduce(0) { $0 + $1.tensor.elementCount } * type.byteCount
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

    /// Throws ``CheckpointError`` for parameters that are not finite.
    ///
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

extension ModelFolder {
    /// Loads a model folder strictly: every parameter must be present, of the right shape and finite, without extras.
    ///
    /// Parameters are kept in `elementType`: by default as stored, or in float32 if the file mixes types.
    /// Passes compute in `computeType`, by default the same. `verifies` reads all files and compares their
    /// checksums with `checksums.json`; their sizes are always compared if that file is there. With `sharesFiles`,
    /// parameters of the stored type use the pages of the files instead of copies, so that a model of any size is there at
    /// once; the files must then not be changed in place. With a `group`, the model is this rank's part of the layers. Throws
    /// ``CheckpointError`` with all problems of the weights, `SettingsError` with all of the configuration,
    /// `StorageError` and `TorchError`.
    public static func load(
        _ path: String, elementType: ElementType? = nil, device: Device = .cpu,
        computeType: ElementType? = nil, verifies: Bool = false, sharesFiles: Bool = false,
        group: (any RankGroup)? = nil
    ) throws -> LoadedModel {
        try checkSizes(path, verifies: verifies)
        let contents = try ModelContents(path: path, sharesFiles: sharesFiles)
        let configuration = contents.configuration
        let generationDefaults = try contents.generationDefaults()
        let tokenizer = Result { try TokenizerLoader.load(folder: CheckpointFiles.folder(of: path)) }
        let tensors = try contents.tensors
        try checkLayerCount(configuration, tensors, path: path)
        let type = elementType ?? commonType(tensors.entries)
        let reader = WeightReader(tensors, elementType: type, device: device)
        let store = ParameterStore(
            source: .provided { try contents.provide($0, $1, reader) }, elementType: type, device: device,
            group: group)
        let model = try withoutGradients {
            try LanguageModel(configuration, parameters: store, computeType: computeType ?? type)
        }
        try contents.checkLeftOver(reader)
        let problems =
            reader.problems
            + CheckpointProblem.tokens(of: try? tokenizer.get(), generationDefaults, for: configuration)
        guard problems.isEmpty else { throw CheckpointError(path: path, problems: problems) }
        return LoadedModel(
            model: model, generationDefaults: generationDefaults,
            defaultsName: contents.generationDefaultsName, tokenizerResult: tokenizer)
    }

    /// Returns true for the folder of a language model of this package, false for other forms.
    ///
    /// Throws `StorageError`, and `SettingsError` for a configuration of this package that cannot be read.
    public static func isOwn(_ path: String) throws -> Bool { try ConfigurationFile.own(folder: path) != nil }

    /// Reads the architecture alone, without weights; throws `StorageError`, `SettingsError` or ``DialectError``.
    public static func configuration(of path: String) throws -> LanguageModelConfiguration {
        try ModelContents(path: path).configuration
    }

    /// Throws ``CheckpointError`` if there are fewer tensors than layers.
    ///
    /// Also keeps a damaged configuration from declaring layers without end.
    static func checkLayerCount(
        _ configuration: LanguageModelConfiguration, _ tensors: any TensorSource, path: String
    ) throws {
        let counts = (configuration.layerCount, tensors.entries.count)
        guard counts.0 > counts.1 else { return }
        throw CheckpointError(
            path: path, problems: [.tooFewTensors(layerCount: counts.0, tensorCount: counts.1)])
    }

    /// Throws ``ModelFolderError/rounded(path:scheme:)`` for weights of 8 and 4 bits.
    static func checkNotRounded(_ tensors: SafetensorsTensors, path: String) throws {
        guard let scheme = tensors.metadata[SafetensorsFolder.roundingKey] else { return }
        throw ModelFolderError.rounded(path: path, scheme: scheme)
    }

    static func checkSizes(_ path: String, verifies: Bool) throws {
        let hasList = FileManager.default.fileExists(atPath: path + "/" + AtomicFolder.checksumsFileName)
        guard verifies || hasList && !AtomicFolder.isComplete(path) else { return }
        do {
            try AtomicFolder.verify(path)
        } catch let error as StorageError {
            throw ModelFolderError.changed(path: path, reason: error)
        }
    }

    /// Returns the type of all floating-point tensors, or float32 if they differ.
    static func commonType(_ entries: [SafetensorsEntry]) -> ElementType {
        let types = Set(entries.compactMap { ElementType($0.elementType) }.filter(\.isFloatingPoint))
        guard types.count == 1, let type = types.first else { return .float32 }
        return type
    }
}

/// The contents of a model folder.
public struct LoadedModel {
    /// The model with its weights, ready to run.
    public let model: LanguageModel
    /// The sampling settings of the folder; empty if it has none.
    public let generationDefaults: GenerationDefaults
    /// The file with the special tokens of the sampling settings.
    let defaultsName: String
    let tokenizerResult: Result<any Tokenizer, any Error>

    /// A sentence for each special token in which the folder and its tokenizer differ, saying which one counts.
    public var specialTokenRemarks: [String] {
        (try? tokenizer).map { generationDefaults.remarks(on: $0, sourceName: defaultsName) } ?? []
    }

    /// The architecture.
    public var configuration: LanguageModelConfiguration { model.configuration }

    /// The tokenizer of the folder.
    ///
    /// Throws `TextError` or `StorageError` if the folder has none or one that cannot be used.
    public var tokenizer: any Tokenizer {
        get throws { try tokenizerResult.get() }
    }
}

/// The architecture of a model folder of this package or of another project, and its parameters in files.
private struct ModelContents {
    let path: String
    let configuration: LanguageModelConfiguration
    /// The checkpoint, if it is another project's.
    let foreign: ForeignCheckpoint?

    private let sharesFiles: Bool

    /// Reads the configuration; throws `StorageError`, `SettingsError` with every problem, and ``DialectError``.
    init(path: String, sharesFiles: Bool = false) throws {
        self.path = path
        self.sharesFiles = sharesFiles
        if let own = try ConfigurationFile.own(folder: path) {
            configuration = own
            foreign = nil
        } else {
            let foreign = try ForeignCheckpoint(path: path, dialect: nil, sharesFiles: sharesFiles)
            configuration = foreign.configuration
            self.foreign = foreign
        }
    }

    var tensors: any TensorSource {
        get throws {
            if let foreign { return try foreign.files.tensors }
            let tensors = try SafetensorsTensors(folder: path, sharesFiles: sharesFiles)
            try ModelFolder.checkNotRounded(tensors, path: path)
            return tensors
        }
    }

    func generationDefaults() throws -> GenerationDefaults {
        try foreign?.generationDefaults()
            ?? GenerationDefaults(folder: path).filled(from: configuration.tokens)
    }

    var generationDefaultsName: String {
        let path = CheckpointFiles.folder(of: path) + "/" + GenerationDefaults.fileName
        return FileManager.default.fileExists(atPath: path)
            ? GenerationDefaults.fileName : ConfigurationFile.fileName
    }

    func provide(_ name: String, _ shape: [Int], _ reader: WeightReader) throws -> Tensor {
        guard let plan = foreign?.plan else { return try reader.provide(name, shape) }
        return try reader.provide(name, shape, by: plan)
    }

    func checkLeftOver(_ reader: WeightReader) throws {
        if let plan = foreign?.plan { return try reader.checkLeftOver(of: plan) }
        let output = (ModelFolder.outputName, ModelFolder.embeddingName)
        try reader.checkLeftOver(copies: configuration.tiedOutput ? [output] : [])
    }
}

/// The `config.json` of a model folder.
enum ConfigurationFile {
    static let fileName = "config.json"
    static let maximumByteCount = 1 << 24

    /// Reads the architecture of a folder of this package; nil if the file is another project's or there is none.
    ///
    /// Throws `StorageError`, and `SettingsError` with every problem.
    static func own(folder: String) throws -> LanguageModelConfiguration? {
        // A file, or tensors without a configuration, can only be another project's.
        guard CheckpointFiles.folder(of: folder).isExactly(folder) else { return nil }
        if CheckpointFiles.hasTensors(folder: folder),
            !FileManager.default.fileExists(atPath: folder + "/" + fileName)
        {
            return nil
        }
        let path = folder + "/" + fileName
        let text = try JSONFile.text(path, maximumByteCount: maximumByteCount)
        guard
            try LanguageModelConfiguration.recognizes(
                SettingsDocument(pythonJSON: text, sourceName: path).tree)
        else { return nil }
        return try LanguageModelConfiguration(json: text, sourceName: path)
    }
}
