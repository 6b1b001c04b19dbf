import Foundation

/// A request for generation that cannot be honoured.
public enum GenerationError: Error, Equatable, CustomStringConvertible, LocalizedError {
    /// Sampling parameters or options out of range, one sentence each.
    case invalidParameters([String])
    /// A new sequence would begin without any token.
    case emptyPrompt(row: Int)
    /// A token that the model has no embedding for; `index` counts within the row.
    case tokenOutOfRange(row: Int, index: Int, token: Int32, vocabularySize: Int)
    /// As many rows as the session has were expected.
    case wrongRowCount(expected: Int, found: Int)
    /// A row that the session does not have.
    case noSuchRow(Int, rowCount: Int)
    /// The model cannot generate, or not in the form asked for.
    case unsupportedForm(reason: String)
    /// The model's logits are not numbers.
    case logitsNotFinite(row: Int)
    /// What a saved state says about the rows cannot be understood.
    case invalidSavedState(reason: String)

    /// One or two sentences for people.
    public var description: String {
        switch self {
        case .invalidParameters(let problems):
            problems.count == 1
                ? "\(problems[0])."
                : "\(problems.count) values are out of range:\n  " + problems.joined(separator: "\n  ")
        case .emptyPrompt(let row):
            "The prompt of row \(row) is empty and the tokenizer has no token that begins a text. "
                + "Give at least one character."
        case .tokenOutOfRange(let row, let index, let token, let vocabularySize):
            "Token \(token) at index \(index) of row \(row) is not in the model's vocabulary of "
                + "\(vocabularySize). Use tokens made with the model's own tokenizer."
        case .wrongRowCount(let expected, let found):
            "The session has \(expected) rows, but \(found) were given. Give one prompt a row."
        case .noSuchRow(let row, let rowCount):
            "There is no row \(row): the session has \(rowCount)."
        case .unsupportedForm(let reason):
            "The model cannot generate: \(reason)."
        case .logitsNotFinite(let row):
            "The model's logits for row \(row) are NaN or infinite. "
                + "Compute in float32, or use weights that have not diverged."
        case .invalidSavedState(let reason):
            "The saved state cannot be continued: \(reason). Save it again."
        }
    }

    /// The same text as ``description``.
    public var errorDescription: String? { description }
}
