import Foundation

/// An error of a measurement.
public enum EvaluationError: Error, Equatable, CustomStringConvertible, LocalizedError {
    /// The model lacks the requested form.
    case unsupportedForm(form: String, reason: String)
    /// A token is outside the model's vocabulary.
    case tokenOutOfRange(token: Int, vocabularySize: Int)
    /// The stories have no recalls.
    case noQuestions
    /// A line of a task's data file cannot be used; lines count from 1, and 0 is the whole file.
    case malformedExample(path: String, line: Int, reason: String)

    /// The problem and, where there is one, the remedy.
    public var description: String {
        switch self {
        case .unsupportedForm(let form, let reason):
            "this model cannot be evaluated in the form '\(form)': \(reason)"
        case .tokenOutOfRange(let token, let vocabularySize):
            "token \(token) is outside the model's vocabulary of \(vocabularySize): use the tokenizer that the "
                + "model was trained with"
        case .noQuestions:
            "the stories have no recalls: generate more or longer stories"
        case .malformedExample(let path, let line, let reason):
            "cannot read '\(path)'\(line > 0 ? ", line \(line)" : ""): \(reason)"
        }
    }

    /// The same text as ``description``.
    public var errorDescription: String? { description }
}
