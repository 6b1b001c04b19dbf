import Foundation
import RetNetMixers
import RetNetModels
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

/// A ``SavedState`` as one safetensors file.
///
/// Tensors are named `layers.N.NAME` after the layer's own names, and `logits`. The metadata hold format,
/// version, the model's fingerprint, the tokenizer's identity, the positions as `[[position, count], …]`, the
/// pending tokens, and free texts under names that begin with `user.`.
public enum StateFile {
    /// The value of `format` in the metadata.
    public static let format = "retnet-state"
    /// The value of `version` in the metadata.
    public static let version = "1"
    static let userPrefix = "user."
    static let logitsName = "logits"
    /// Positions beyond this are refused, so that no arithmetic with them can overflow.
    static let maximumPosition = 1 << 48

    /// Saves a state so that the file is either complete or absent.
    ///
    /// `path` may also be a pipe or device. Throws ``StateFileError/notFinite(path:name:)`` for a state that
    /// could not be read again, `StorageError` and `TorchError`.
    public static func write(_ saved: SavedState, of model: LanguageModel, to path: String) throws {
        guard saved.pendingTokens.count == saved.state.batchSize else {
            throw StateFileError.malformed(
                path: path,
                reason: "there are pending tokens for \(saved.pendingTokens.count) rows, but the state has "
                    + "\(saved.state.batchSize)")
        }
        var tensors: [(name: String, tensor: Tensor)] = []
        for (index, layer) in saved.state.layers.enumerated() {
            tensors += layer.tensors.map { ("layers.\(index).\($0.name)", $0.tensor) }
        }
        if let logits = saved.logits { tensors.append((logitsName, logits)) }
        try withoutGradients {
            for (name, tensor) in tensors where try !tensor.allFinite() {
                throw StateFileError.notFinite(path: path, name: name)
            }
        }
        var metadata: [ExactString: String] = [
            "format": format,
            "version": version,
            "fingerprint": try ModelFingerprint.make(model),
            "positions": try json(saved.state.positions.map { [$0.position, $0.count] }),
            "pending_tokens": try json(saved.pendingTokens),
        ]
        metadata["tokenizer"] = saved.tokenizerIdentity
        for (key, value) in saved.metadata { metadata[ExactString(userPrefix + key)] = value }
        try SafetensorsWriter(tensors: tensors, metadata: metadata).write(to: path)
    }

    private static func json(_ value: some Encodable) throws -> String {
        String(decoding: try JSONEncoder().encode(value), as: UTF8.self)
    }
}

/// A short text that differs between models with incompatible states.
public enum ModelFingerprint {
    private static let sampledValueCount = 16

    /// Returns the CRC-32 of the configuration and that of the leading values of every parameter, in hexadecimal.
    ///
    /// Values count rounded to bfloat16, so that a model has the same fingerprint whether it was loaded in
    /// that type, in float32 or in float64.
    public static func make(_ model: LanguageModel) throws -> String {
        let configuration = Checksum.crc32(Data(try model.configuration.jsonText().utf8))
        var weights: UInt32 = 0
        try withoutGradients {
            for entry in model.parameters.entries {
                let count = Swift.min(sampledValueCount, entry.tensor.elementCount)
                // A view of the leading values: parameters are contiguous.
                let sample = try entry.tensor.detached().reshaped([-1]).sliced(0, 0..<count)
                weights = try sample.to(.float32).to(.bfloat16).withHostBytes {
                    Checksum.crc32($0, continuing: weights)
                }
            }
        }
        return Checksum.hexadecimal(configuration) + "-" + Checksum.hexadecimal(weights)
    }
}

/// An error for a state file that cannot be used.
public enum StateFileError: Error, Equatable, CustomStringConvertible, LocalizedError {
    /// The file is a safetensors file of another kind.
    case notStateFile(path: String)
    /// The file has an unknown version of the format.
    case unknownVersion(path: String, version: String)
    /// The state was made by another model.
    case wrongModel(path: String, expected: String, found: String)
    /// The state was made with another tokenizer.
    case wrongTokenizer(path: String, expected: String, found: String)
    /// A part of the file is missing, unexpected or out of range.
    case malformed(path: String, reason: String)
    /// A tensor holds NaN or infinite values.
    case notFinite(path: String, name: String)

    /// The problem and the remedy.
    public var description: String {
        switch self {
        case .notStateFile(let path):
            "'\(path)' is not a state file: the 'format' of its metadata is not '\(StateFile.format)'; "
                + "give a file with a saved state"
        case .unknownVersion(let path, let version):
            "cannot read '\(path)': it has version '\(version)' of the state format, and only version "
                + "'\(StateFile.version)' is known; use the program that wrote it"
        case .wrongModel(let path, let expected, let found):
            "'\(path)' was saved with another model: its fingerprint is '\(found)', this model's is "
                + "'\(expected)'; use the model that it was saved with"
        case .wrongTokenizer(let path, let expected, let found):
            "'\(path)' was saved with the tokenizer '\(found)', but '\(expected)' is in use; "
                + "use the model folder that it was saved with"
        case .malformed(let path, let reason):
            "'\(path)' is not a valid state file: \(reason); save the state again"
        case .notFinite(let path, let name):
            "cannot use '\(path)': '\(name)' holds NaN or infinite values; save the state again"
        }
    }

    /// The same text as ``description``.
    public var errorDescription: String? { description }
}
