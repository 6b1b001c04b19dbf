import Foundation
import RetNetLayers
import RetNetModels
import RetNetStorage
import RetNetText
import RetNetTorch

extension ModelFolder {
    /// Loads a model folder strictly: every parameter must be there, fit and be finite, and nothing may be over.
    ///
    /// Parameters are kept in `elementType`: by default as stored, or in float32 if the file mixes types.
    /// Passes compute in `computeType`, by default the same. `verifies` reads all files and compares their
    /// checksums with `checksums.json`; their sizes are always compared if that file is there. Throws
    /// ``CheckpointError`` with all problems of the weights, `SettingsError` with all of the configuration,
    /// `StorageError` and `TorchError`.
    public static func load(
        _ path: String, elementType: ElementType? = nil, device: Device = .cpu,
        computeType: ElementType? = nil, verifies: Bool = false
    ) throws -> LoadedModel {
        try checkSizes(path, verifies: verifies)
        let configuration = try configuration(of: path)
        let generationDefaults = try GenerationDefaults(folder: path)
        let tokenizer = Result { try TokenizerLoader.load(folder: path) }
        let tensors = try SafetensorsTensors(folder: path)
        // Also keeps a damaged configuration from declaring layers without end.
        guard configuration.layerCount <= tensors.entries.count else {
            throw CheckpointError(
                path: path,
                problems: [
                    .tooFewTensors(
                        layerCount: configuration.layerCount, tensorCount: tensors.entries.count)
                ])
        }
        let type = elementType ?? commonType(tensors.entries)
        let reader = WeightReader(tensors, elementType: type, device: device)
        let store = ParameterStore(source: .provided(reader.provide), elementType: type, device: device)
        let model = try withoutGradients {
            try LanguageModel(configuration, parameters: store, computeType: computeType ?? type)
        }
        try reader.checkLeftOver(copies: configuration.tiedOutput ? [(outputName, embeddingName)] : [])
        var problems = reader.problems
        if case .success(let tokenizer) = tokenizer, tokenizer.vocabularySize > configuration.vocabularySize {
            problems.append(
                .vocabularyTooSmall(
                    modelSize: configuration.vocabularySize, tokenizerSize: tokenizer.vocabularySize))
        }
        guard problems.isEmpty else { throw CheckpointError(path: path, problems: problems) }
        return LoadedModel(
            model: model, generationDefaults: generationDefaults, tokenizerResult: tokenizer)
    }

    /// Reads the architecture alone, without weights; throws `StorageError` or `SettingsError`.
    public static func configuration(of path: String) throws -> LanguageModelConfiguration {
        try ConfigurationFile.read(folder: path)
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

    /// The type of all floating-point tensors, or float32 if they differ.
    static func commonType(_ entries: [SafetensorsEntry]) -> ElementType {
        let types = Set(entries.compactMap { ElementType($0.elementType) }.filter(\.isFloatingPoint))
        guard types.count == 1, let type = types.first else { return .float32 }
        return type
    }
}
