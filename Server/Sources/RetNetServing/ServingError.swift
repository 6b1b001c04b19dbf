import Foundation

/// A request that cannot be carried out, or a part of the server that cannot.
public enum ServingError: Error, Equatable, CustomStringConvertible, LocalizedError {
    /// As many requests wait as may.
    case queueFull(limit: Int)
    /// The engine takes no new requests: it finishes those that it has.
    case draining
    /// The engine ended before the request did.
    case stopped
    /// The request took longer than it may.
    case timedOut
    /// The client reads so slowly that too many events wait for it.
    case slowReader
    /// There is nothing to read and nothing known from which to choose a token.
    case emptyPrompt
    /// A token of the prompt is not in the vocabulary.
    case unknownToken(Int32, index: Int, vocabularySize: Int)
    /// The prompt and the text after it exceed the positions that the model knows.
    case tooLong(promptCount: Int, maxTokens: Int, limit: Int)
    /// The model's logits are not finite.
    case notFinite
    /// The model could not run.
    case modelFailure(String)
    /// There is no state of this name.
    case unknownState(String)
    /// There is a state of this name already.
    case stateExists(String)
    /// The name of a state has characters that it may not have.
    case invalidStateName(String)
    /// The states that are kept under names fill the memory for states.
    case noRoom(byteCount: Int, limit: Int)
    /// States cannot be kept on disk: no folder was given.
    case noStateFolder
    /// A request to an encoder-decoder needs what only language models have.
    case encoderDecoder(model: String, reason: String)
    /// The file of a state cannot be removed.
    case stateFile(name: String, reason: String)

    /// The error of a request for a state of an encoder-decoder.
    public static func noStates(of model: ServingModel) -> ServingError {
        .encoderDecoder(model: model.name, reason: "it keeps no states")
    }

    /// The problem and, where there is one, the remedy.
    public var description: String {
        switch self {
        case .queueFull(let limit): "\(limit) requests are waiting, which is as many as may: try again later"
        case .draining: "the server is shutting down and takes no new requests"
        case .stopped: "the server stopped before the request was finished"
        case .timedOut: "the request took longer than the server allows: ask for fewer tokens"
        case .slowReader: "the connection was given up: too much text waited to be read by the client"
        case .emptyPrompt:
            "the prompt is empty, and the tokenizer has no token that begins a text: give at least one character"
        case .unknownToken(let token, let index, let size):
            "token \(token) at index \(index) is not in the vocabulary, which has the tokens from 0 to \(size - 1)"
        case .tooLong(let promptCount, let maxTokens, let limit):
            "this model's maximum context length is \(limit) tokens, but \(promptCount + maxTokens) were asked for"
                + " (\(promptCount) in the prompt, \(maxTokens) to generate): shorten the prompt or generate less"
        case .notFinite:
            "the model's logits are not finite: its weights are damaged, or too large for their element type"
        case .modelFailure(let reason): "the model could not run: \(reason)"
        case .unknownState(let name): "there is no state '\(name)'"
        case .stateExists(let name):
            "there is a state '\(name)' already: delete it first, or take another name"
        case .invalidStateName(let name):
            "'\(name)' cannot be the name of a state: take 1 to 128 letters, digits, '-', '_' and '.', the first of"
                + " which is no '.'"
        case .noRoom(let byteCount, let limit):
            "the state of \(byteCount) bytes does not fit: all states may take \(limit) bytes, and named ones are"
                + " kept until they are deleted"
        case .noStateFolder: "states cannot be kept on disk: start the server with --state-dir"
        case .encoderDecoder(let model, let reason):
            "the model '\(model)' is an encoder-decoder, whose text does not go on from its prompt: \(reason)"
        case .stateFile(let name, let reason): "the file of the state '\(name)' cannot be removed: \(reason)"
        }
    }

    /// The same text as ``description``.
    public var errorDescription: String? { description }
}
