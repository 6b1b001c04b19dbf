import Foundation

/// A measurement that cannot be made.
public enum EvaluationError: Error, Equatable, CustomStringConvertible, LocalizedError {
    /// The model cannot run in the form that was asked for.
    case unsupportedForm(form: String, reason: String)
    /// A token is not in the model's vocabulary.
    case tokenOutOfRange(token: Int, vocabularySize: Int)
    /// There are no questions to ask.
    case noQuestions
    /// A line of a task's data file cannot be used; lines count from 1, and 0 is the whole file.
    case malformedExample(path: String, line: Int, reason: String)

    /// A sentence that says what is wrong and what to do.
    public var description: String {
        switch self {
        case .unsupportedForm(let form, let reason):
            "this model cannot be evaluated in the form '\(form)': \(reason)"
        case .tokenOutOfRange(let token, let vocabularySize):
            "token \(token) is outside the model's vocabulary of \(vocabularySize): use the tokenizer that the "
                + "model was trained with"
        case .noQuestions:
            "the text asks for no recall: generate more or longer stories"
        case .malformedExample(let path, let line, let reason):
            "\(path)\(line > 0 ? ", line \(line)," : "") is no data for this task: \(reason)"
        }
    }

    /// The same text as ``description``.
    public var errorDescription: String? { description }
}
