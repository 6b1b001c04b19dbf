import RetNetArchitecture
import RetNetMixers
import RetNetModels
import RetNetSampling
import RetNetStorage
import RetNetTorch

/// A language model's state after the tokens read, with everything needed to resume from there.
public struct SavedState {
    /// The state after the tokens read; `positions` count them per row.
    public var state: LanguageModelState
    /// Logits [B, V] after the last token read, if they are known.
    public var logits: Tensor?
    /// Tokens of each row that were chosen but not read yet; they come before anything new.
    public var pendingTokens: [[Int32]]
    /// The identity of the tokenizer in use, if there was one.
    public var tokenizerIdentity: String?
    /// Free texts, for the writer's own use.
    public var metadata: [String: String]

    /// Creates a saved state; without pending tokens by default.
    public init(
        state: LanguageModelState, logits: Tensor? = nil, pendingTokens: [[Int32]]? = nil,
        tokenizerIdentity: String? = nil, metadata: [String: String] = [:]
    ) {
        self.state = state
        self.logits = logits
        self.pendingTokens = pendingTokens ?? [[Int32]](repeating: [], count: state.batchSize)
        self.tokenizerIdentity = tokenizerIdentity
        self.metadata = metadata
    }

    /// Number of tokens read per row.
    public var tokenCounts: [Int] { state.positions.map(\.count) }
}

/// A ``SavedState`` as one safetensors file, in the format of `StateFileHeader`.
public enum StateFile {
    /// Saves a state so that the file is either complete or absent.
    ///
    /// `path` may also be a pipe or device. Throws `StateFileError.notFinite` for a state that could not be read again,
    /// `StorageError` and `TorchError`.
    public static func write(_ saved: SavedState, of model: LanguageModel, to path: String) throws {
        let header = StateFileHeader(
            fingerprint: try ModelFingerprint.make(model), positions: saved.state.positions,
            pendingTokens: saved.pendingTokens, tokenizerIdentity: saved.tokenizerIdentity,
            texts: saved.metadata)
        let metadata = try header.metadata(path: path)
        var tensors: [(name: String, tensor: Tensor)] = []
        for (index, layer) in saved.state.layers.enumerated() {
            let named = Dictionary(layer.tensors.map { ($0.name, $0.tensor) }) { first, _ in first }
            for part in model.configuration.stateTensors(layer: index) {
                guard let tensor = named[part.name] else {
                    throw MixerError.wrongState(expected: part.name, found: "\(named.keys.sorted())")
                }
                tensors.append((StateFileHeader.name(part, layer: index), tensor))
            }
        }
        if let logits = saved.logits { tensors.append((StateFileHeader.logitsName, logits)) }
        try withoutGradients {
            for (name, tensor) in tensors where try !tensor.allFinite() {
                throw StateFileError.notFinite(path: path, name: name)
            }
        }
        try SafetensorsWriter(tensors: tensors, metadata: metadata).write(to: path)
    }

    /// Reads a state for a model, onto the model's device.
    ///
    /// `tokenizerIdentity` is that of the tokenizer in use; nil accepts any. Throws `StorageError` for files
    /// that are not complete, and `StateFileError` for states of another model or tokenizer and for parts that
    /// are missing, unexpected, of the wrong shape, out of range or not finite.
    public static func read(_ path: String, for model: LanguageModel, tokenizerIdentity: String? = nil) throws
        -> SavedState
    {
        let tensors = try SafetensorsTensors(file: path)
        let header = try StateFileHeader(
            reading: tensors.metadata, path: path, of: model.configuration,
            tokenizerIdentity: tokenizerIdentity
        ) { try ModelFingerprint.make(model, version: $0) }
        let parts = try header.parts(of: model.configuration, in: tensors.entries, path: path)
        return try withoutGradients {
            func read(_ entry: SafetensorsEntry, _ type: ElementType) throws -> Tensor {
                let tensor = try tensors.tensor(named: entry.name).to(type, on: model.device)
                guard try tensor.allFinite() else {
                    throw StateFileError.notFinite(path: path, name: entry.name)
                }
                return tensor
            }
            var layers = [[String: Tensor]](repeating: [:], count: model.configuration.layerCount)
            for part in parts.layers {
                // Only what grows has the type of passes.
                let type = part.tensor.growingAxis == nil ? model.computeType.accumulator : model.computeType
                layers[part.layer][part.tensor.name] = try read(part.entry, type)
            }
            return SavedState(
                state: try model.state(from: layers, positions: header.positions),
                logits: try parts.logits.map { try read($0, model.computeType.accumulator) },
                pendingTokens: header.pendingTokens, tokenizerIdentity: header.tokenizerIdentity,
                metadata: header.texts)
        }
    }
}

extension ModelFingerprint {
    /// Returns the fingerprint of a model, the same for every engine.
    public static func make(_ model: LanguageModel) throws -> String {
        try make(model.configuration, parameters: model.parameters.entries.map(\.name)) {
            try leadingValues($0, of: model)
        }
    }

    /// Returns the fingerprint in a version of state files; nil for versions that are not known.
    static func make(_ model: LanguageModel, version: String) throws -> String? {
        switch version {
        case StateFileHeader.version: try make(model)
        case "1":
            try make(model.configuration, ordered: model.parameters.entries.map(\.name)) {
                try leadingValues($0, of: model)
            }
        default: nil
        }
    }

    private static func leadingValues(_ name: String, of model: LanguageModel) throws -> [Float] {
        guard let tensor = model.parameters[name] else { return [] }
        return try withoutGradients {
            // A view of the leading values: parameters are contiguous.
            try tensor.detached().reshaped([-1])
                .sliced(0, 0..<Swift.min(sampledValueCount, tensor.elementCount))
                .to(.float32).to(on: .cpu).values(as: Float.self)
        }
    }
}
