import Foundation
import RetNetRuntime
import RetNetSampling
import RetNetText

/// A state of one sequence in a file, as `retnet generate --state-out` writes it, with all tokens that were read.
enum StateFile {
    /// Names of the texts in a file.
    private static let tokensName = "server.tokens"
    private static let numbersName = "server.numbers"

    /// Writes a state; throws `StateFileError` and `StorageError`, and then the file is as it was.
    static func write(
        _ snapshot: StateSnapshot, _ texts: [String: String], to path: String, _ model: ServingModel
    ) throws {
        var row = SessionRow()
        row.place = snapshot.place
        row.pendingTokens = snapshot.pending
        let all = (snapshot.history ?? []) + snapshot.pending
        row.recentTokens = Array(all.suffix(SamplingParameters.maximumRepetitionWindow))
        var texts = texts
        texts[numbersName] = numbers(model)
        texts[tokensName] = snapshot.history.map { tokens in
            var bytes = Data(capacity: 4 * tokens.count)
            for token in tokens { withUnsafeBytes(of: token.littleEndian) { bytes.append(contentsOf: $0) } }
            return bytes.base64EncodedString()
        }
        let saved = SavedSequences(
            states: [snapshot.state], logits: snapshot.logits.map { [$0] }, rows: [row],
            tokenizerIdentity: model.tokenizer.identity, texts: texts)
        try languageModel(model).save(saved, to: path)
    }

    private static func languageModel(_ model: ServingModel) throws -> RuntimeModel {
        guard let languageModel = model.languageModel else { throw ServingError.noStates(of: model) }
        return languageModel
    }

    /// Reads a state and the texts in its file.
    ///
    /// Throws `StateFileError` for a state of another model or with other contents than it should have, and `StorageError`.
    static func read(_ path: String, _ model: ServingModel) throws -> (StateSnapshot, texts: [String: String])
    {
        let saved = try languageModel(model).load(path, tokenizer: model.tokenizer)
        guard saved.states.count == 1, saved.rows.count == 1 else {
            throw StateFileError.malformed(
                path: path, reason: "it has \(saved.states.count) sequences, but a server keeps one in a file"
            )
        }
        let (state, row) = (saved.states[0], saved.rows[0])
        guard row.pendingTokens.allSatisfy({ $0 >= 0 && Int($0) < model.vocabularySize }) else {
            throw StateFileError.malformed(path: path, reason: "a pending token is not in the vocabulary")
        }
        let history = saved.texts[tokensName].flatMap(tokens)
        let size = model.vocabularySize
        let isSound = history.map {
            $0.count == state.tokenCount && $0.allSatisfy { $0 >= 0 && Int($0) < size }
        }
        guard isSound ?? (saved.texts[tokensName] == nil) else {
            throw StateFileError.malformed(
                path: path, reason: "the tokens in it are not those that were read")
        }
        let snapshot = StateSnapshot(
            state: state, history: history, pending: row.pendingTokens, logits: saved.logits?.first,
            place: row.place ?? .inside)
        return (snapshot, saved.texts)
    }

    /// True if a state was computed with the element types that the model has now.
    static func hasNumbers(_ texts: [String: String], of model: ServingModel) -> Bool {
        texts[numbersName] == numbers(model)
    }

    private static func numbers(_ model: ServingModel) -> String {
        ((model.languageModel?.elementTypes ?? []) + [model.languageModel?.stateType.rawValue ?? ""]).joined(
            separator: " ")
    }

    private static func tokens(_ text: String) -> [Int32]? {
        guard let bytes = Data(base64Encoded: text), bytes.count % 4 == 0 else { return nil }
        return bytes.withUnsafeBytes { buffer in
            (0..<buffer.count / 4).map {
                Int32(littleEndian: buffer.loadUnaligned(fromByteOffset: 4 * $0, as: Int32.self))
            }
        }
    }
}
