import Foundation

/// A request for generation that cannot be carried out.
public enum GenerationError: Error, Equatable, CustomStringConvertible, LocalizedError {
    /// Sampling parameters or options are out of range, one text per value.
    case invalidParameters([String])
    /// A new sequence would begin without any token.
    case emptyPrompt(row: Int)
    /// A token is outside the model's vocabulary; `index` counts within the row.
    case tokenOutOfRange(row: Int, index: Int, token: Int32, vocabularySize: Int)
    /// The number of rows given differs from that of the session.
    case wrongRowCount(expected: Int, found: Int)
    /// The session has no row of this index.
    case noSuchRow(Int, rowCount: Int)
    /// The model cannot generate, or lacks the requested form.
    case unsupportedForm(reason: String)
    /// The model's logits hold NaN or infinite values.
    case logitsNotFinite(row: Int)
    /// The rows of a saved state cannot be read.
    case invalidSavedState(reason: String)

    /// The problem and, where there is one, the remedy.
    public var description: String {
        switch self {
        case .invalidParameters(let problems):
            problems.count == 1
                ? problems[0]
                : "\(problems.count) values are out of range:\n  " + problems.joined(separator: "\n  ")
        case .emptyPrompt(let row):
            "the prompt of row \(row) is empty, and the tokenizer has no token that begins a text: "
                + "give at least one character"
        case .tokenOutOfRange(let row, let index, let token, let vocabularySize):
            "token \(token) at index \(index) of row \(row) is outside the model's vocabulary of "
                + "\(vocabularySize): use tokens of the model's own tokenizer"
        case .wrongRowCount(let expected, let found):
            "the session has \(expected) rows, but \(found) were given: give one prompt per row"
        case .noSuchRow(let row, let rowCount):
            "there is no row \(row): the session has \(rowCount)"
        case .unsupportedForm(let reason):
            "the model cannot generate: \(reason)"
        case .logitsNotFinite(let row):
            "the model's logits for row \(row) are NaN or infinite: "
                + "compute in float32, or use weights that have not diverged"
        case .invalidSavedState(let reason):
            "the saved state cannot be resumed: \(reason); save it again"
        }
    }

    /// The same text as ``description``.
    public var errorDescription: String? { description }
}
