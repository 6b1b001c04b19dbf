import Foundation

/// An error of the inference engine.
public enum RuntimeError: Error, Equatable, CustomStringConvertible, LocalizedError {
    /// The weights of a folder do not fit its configuration.
    case weights(path: String, problem: String)
    /// The folder is in the form of another project, or of another kind of model.
    case otherForm(path: String)
    /// The folder has an encoder-decoder, and what was asked for is for language models.
    case encoderDecoder(path: String)
    /// The model has a part that this engine does not run.
    case unsupported(part: String)
    /// A token is not in the vocabulary.
    case unknownToken(Int, vocabularySize: Int)
    /// A sequence without tokens.
    case emptySequence
    /// A sequence reaches beyond the positions for which the model has embeddings.
    case tooLong(length: Int, limit: Int)
    /// A state was made by another model, or the number of states is not that of the sequences.
    case wrongState(reason: String)
    /// A saved state has numbers that the type of states does not hold.
    case stateRange(path: String, name: String, type: StateElementType)
    /// There is not enough memory.
    case noMemory(byteCount: Int)
    /// The worker threads could not be started.
    case noThreads(reason: String)

    /// The error in one sentence.
    public var description: String {
        switch self {
        case .weights(let path, let problem): "cannot use the weights in '\(path)': \(problem)"
        case .otherForm(let path):
            "'\(path)/config.json' is not that of a language model of this package: `retnet convert` makes such a folder of"
                + " checkpoints of other projects, and `retnet` itself reads them as they are"
        case .encoderDecoder(let path):
            "'\(path)' has an encoder-decoder, and this is for language models: `generate`, `info` and `quantize` take it"
        case .unsupported(let part):
            "this engine does not run \(part); use the LibTorch engine: retnet generate --engine libtorch"
        case .unknownToken(let token, let size):
            "the token \(token) is not in the vocabulary, which has the tokens from 0 to \(size - 1)"
        case .emptySequence: "a sequence is empty: at least one token is needed"
        case .tooLong(let length, let limit):
            "the position embedding reaches position \(length) but was made for \(limit) positions:"
                + " shorten the prompt or generate less"
        case .wrongState(let reason): "the state does not belong to this model: \(reason)"
        case .stateRange(let path, let name, let type):
            "cannot use '\(path)' with states in \(type.rawValue): '\(name)' has numbers beyond its range; use float32"
        case .noMemory(let byteCount): "there is no memory for \(byteCount) bytes"
        case .noThreads(let reason): "cannot start the worker threads: \(reason)"
        }
    }

    /// The same text as ``description``.
    public var errorDescription: String? { description }
}
