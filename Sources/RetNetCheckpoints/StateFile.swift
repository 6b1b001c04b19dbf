import Foundation
import RetNetMixers
import RetNetModels
import RetNetStorage
import RetNetTorch

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

    /// Saves a state so that the file is either whole or not there.
    ///
    /// `path` may also be a pipe or device. Throws ``StateFileError/notFinite(path:name:)`` for a state that
    /// could not be read again, `StorageError` and `TorchError`.
    public static func write(_ saved: SavedState, of model: LanguageModel, to path: String) throws {
        guard saved.pendingTokens.count == saved.state.batchSize else {
            throw StateFileError.malformed(
                path: path,
                reason: "there are pending tokens for \(saved.pendingTokens.count) rows and a state of "
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
        var metadata = [
            "format": format,
            "version": version,
            "fingerprint": try ModelFingerprint.make(model),
            "positions": try json(saved.state.positions.map { [$0.position, $0.count] }),
            "pending_tokens": try json(saved.pendingTokens),
        ]
        metadata["tokenizer"] = saved.tokenizerIdentity
        for (key, value) in saved.metadata { metadata[userPrefix + key] = value }
        try SafetensorsWriter(tensors: tensors, metadata: metadata).write(to: path)
    }

    private static func json(_ value: some Encodable) throws -> String {
        String(decoding: try JSONEncoder().encode(value), as: UTF8.self)
    }
}
