import Foundation
import RetNetLayers
import RetNetModels
import RetNetSampling
import RetNetSettings
import RetNetStorage
import RetNetText
import RetNetTorch

/// A T5 model as a folder in the form of Hugging Face's checkpoints.
///
/// It holds `config.json`, `model.safetensors` (or shards with an index), `generation_config.json`, the files of a
/// tokenizer and `checksums.json`. Folders without the last three can be read, also with `pytorch_model.bin` instead of
/// safetensors, and folders written here can be read by Transformers.
public enum T5Folder {
    private static let maximumByteCount = 1 << 24

    /// Returns true if a folder holds a T5 model by its `config.json`, false if that cannot be read.
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

    /// Saves a model as a folder that is either complete or absent.
    ///
    /// Weights are written in `elementType`, by default in their own. Throws ``CheckpointError`` with every
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
    /// `extra` is merged into `config.json`: settings of stacks that are not plain. Throws ``CheckpointError`` for a
    /// tokenizer that does not fit the model, and `StorageError`.
    public static func write(
        _ model: T5Model, tokenizer: (any Tokenizer)? = nil, into folder: String,
        elementType: ElementType? = nil, generationDefaults: GenerationDefaults? = nil,
        extra: SettingsTree? = nil, maximumShardByteCount: Int = ModelFolder.defaultShardByteCount
    ) throws {
        let problems = CheckpointProblem.tokens(of: tokenizer, generationDefaults, for: model.configuration)
        guard problems.isEmpty else { throw CheckpointError(path: folder, problems: problems) }
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

extension T5Folder {
    /// Loads a folder strictly: every parameter must be present, of the right shape and finite, without extras.
    ///
    /// Copies of the embedding are accepted if they equal it, and so is an unused table of old checkpoints. A
    /// checkpoint that holds an output matrix although its configuration ties it without scaling, as newer
    /// versions of Transformers write v1.1, is read with that matrix. Parameters are kept in `elementType`: by
    /// default as stored, or in float32 if the file mixes types; passes compute in `computeType`, by default the
    /// same. `dropout` replaces the folder's. `stacks` replaces the stacks of the configuration. With `sharesFiles`,
    /// parameters of the stored type use the pages of the files, which must then not be changed in place. Throws
    /// ``CheckpointError`` with all problems of the weights, `SettingsError`, `StorageError` and `TorchError`.
    public static func load(
        _ path: String, elementType: ElementType? = nil, device: Device = .cpu,
        computeType: ElementType? = nil, dropout: Double? = nil, verifies: Bool = false,
        stacks: T5Stacks? = nil, sharesFiles: Bool = false
    ) throws -> LoadedT5 {
        try ModelFolder.checkSizes(path, verifies: verifies)
        var configuration = try configuration(of: path)
        if let dropout { configuration.dropout = dropout }
        let defaults = try GenerationDefaults(folder: path)
        let tokenizer = Result { try TokenizerLoader.load(folder: path) }
        let tensors = try CheckpointFiles.tensors(folder: path, sharesFiles)
        if let own = tensors as? SafetensorsTensors { try ModelFolder.checkNotRounded(own, path: path) }
        // Also keeps a damaged configuration from declaring layers without end.
        let layerCount = configuration.encoderLayerCount + configuration.decoderLayerCount
        guard layerCount <= tensors.entries.count else {
            throw CheckpointError(
                path: path,
                problems: [.tooFewTensors(layerCount: layerCount, tensorCount: tensors.entries.count)])
        }
        let embedding = embeddingName(in: tensors)
        if try hasOwnOutput(configuration, tensors, embedding) { configuration.tiedOutput = false }
        let type = elementType ?? ModelFolder.commonType(tensors.entries)
        let reader = WeightReader(tensors, elementType: type, device: device)
        let source = ParameterStore.Source.provided { name, shape in
            try reader.provide(name == T5Configuration.embeddingName ? embedding : name, shape)
        }
        let store = ParameterStore(source: source, elementType: type, device: device)
        let model = try withoutGradients {
            try T5Model(
                configuration, parameters: store, computeType: computeType ?? type, stacks: stacks)
        }
        let tolerated = T5Configuration.toleratedNames
        var copies = tolerated.embeddingAliases
        if configuration.tiedOutput { copies.append(T5Configuration.outputName) }
        try reader.checkLeftOver(
            copies: copies.map { ($0, of: embedding) }, ignoring: tolerated.unused.contains)
        let problems =
            reader.problems + CheckpointProblem.tokens(of: try? tokenizer.get(), defaults, for: configuration)
        guard problems.isEmpty else { throw CheckpointError(path: path, problems: problems) }
        let known = Set(store.entries.map(\.name))
        return LoadedT5(
            model: model, generationDefaults: defaults,
            ignoredTensors: tensors.entries.map(\.name).filter { !known.contains($0) && $0 != embedding },
            tokenizerResult: tokenizer)
    }

    /// Returns the name of the embedding, or that of a copy where only the copy exists.
    private static func embeddingName(in tensors: any TensorSource) -> String {
        let names = [T5Configuration.embeddingName] + T5Configuration.toleratedNames.embeddingAliases
        return names.first { tensors.entry(named: $0) != nil } ?? T5Configuration.embeddingName
    }

    private static func hasOwnOutput(
        _ configuration: T5Configuration, _ tensors: any TensorSource, _ embedding: String
    ) throws -> Bool {
        guard configuration.tiedOutput, !configuration.scaledOutput,
            tensors.entry(named: T5Configuration.outputName) != nil
        else { return false }
        return try !tensors.areEqual(T5Configuration.outputName, embedding)
    }
}

/// The contents of a folder with a T5 model.
public struct LoadedT5 {
    /// The model with its weights, ready to run.
    public let model: T5Model
    /// The settings of generation of the folder; empty if it has none.
    public let generationDefaults: GenerationDefaults
    /// Names of tensors that were not read, because no T5 uses them or they repeat the embedding.
    public let ignoredTensors: [String]
    let tokenizerResult: Result<any Tokenizer, any Error>

    /// The architecture.
    public var configuration: T5Configuration { model.configuration }

    /// The tokenizer of the folder; throws `TextError` or `StorageError` if it has none that can be used.
    public var tokenizer: any Tokenizer {
        get throws { try tokenizerResult.get() }
    }
}
