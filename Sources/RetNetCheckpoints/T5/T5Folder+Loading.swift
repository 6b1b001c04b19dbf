import RetNetLayers
import RetNetModels
import RetNetSettings
import RetNetStorage
import RetNetText
import RetNetTorch

extension T5Folder {
    /// Loads a folder strictly: every parameter must be there, fit and be finite, and nothing may be over.
    ///
    /// Copies of the embedding may be there if they equal it, and so may a table of old checkpoints that nothing
    /// uses. A checkpoint that holds an output matrix although its configuration ties it without scaling, as newer
    /// versions of Transformers write v1.1, is read with that matrix. Parameters are kept in `elementType`: by
    /// default as stored, or in float32 if the file mixes types; passes compute in `computeType`, by default the
    /// same. `dropout` takes the place of the folder's. `stacks` makes other stacks than the configuration. Throws ``CheckpointError`` with all problems of the weights,
    /// `SettingsError`, `StorageError` and `TorchError`.
    public static func load(
        _ path: String, elementType: ElementType? = nil, device: Device = .cpu,
        computeType: ElementType? = nil, dropout: Double? = nil, verifies: Bool = false,
        stacks: T5Stacks? = nil
    ) throws -> LoadedT5 {
        try ModelFolder.checkSizes(path, verifies: verifies)
        var configuration = try configuration(of: path)
        if let dropout { configuration.dropout = dropout }
        let defaults = try GenerationDefaults(folder: path)
        let tokenizer = Result { try TokenizerLoader.load(folder: path) }
        let tensors = try SafetensorsTensors(folder: path)
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
            copies: copies.map { ($0, of: embedding) }, ignored: tolerated.unused)
        var problems = reader.problems
        if case .success(let tokenizer) = tokenizer, tokenizer.vocabularySize > configuration.vocabularySize {
            problems.append(
                .vocabularyTooSmall(
                    modelSize: configuration.vocabularySize, tokenizerSize: tokenizer.vocabularySize))
        }
        guard problems.isEmpty else { throw CheckpointError(path: path, problems: problems) }
        let known = Set(store.entries.map(\.name))
        return LoadedT5(
            model: model, generationDefaults: defaults,
            ignoredTensors: tensors.names.filter { !known.contains($0) && $0 != embedding },
            tokenizerResult: tokenizer)
    }

    /// The embedding under its name, or under that of a copy where only one is there.
    private static func embeddingName(in tensors: SafetensorsTensors) -> String {
        let names = [T5Configuration.embeddingName] + T5Configuration.toleratedNames.embeddingAliases
        return names.first { tensors.entry(named: $0) != nil } ?? T5Configuration.embeddingName
    }

    private static func hasOwnOutput(
        _ configuration: T5Configuration, _ tensors: SafetensorsTensors, _ embedding: String
    ) throws -> Bool {
        guard configuration.tiedOutput, !configuration.scaledOutput,
            tensors.entry(named: T5Configuration.outputName) != nil
        else { return false }
        return try !tensors.areEqual(T5Configuration.outputName, embedding)
    }
}
