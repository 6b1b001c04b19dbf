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
    /// No task of the harness that this package knows has the name.
    case unknownTask(name: String, known: [String])
    /// There is no file with a split of a task; `hint` says where the data are.
    case missingData(task: String, split: String, hint: String)
    /// Several files of a folder could be a split of a task.
    case ambiguousData(task: String, split: String, paths: [String])
    /// The file of few-shot examples has fewer documents than are drawn for one question.
    case tooFewExamples(task: String, needed: Int, found: Int)
    /// A request of a task cannot be scored; documents count from 0.
    case unscorable(task: String, document: Int, reason: String)
    /// A folder for results cannot be created.
    case cannotCreateFolder(path: String, reason: String)
    /// A file of finished answers cannot be read or written.
    case cannotUseAnswers(path: String, reason: String)
    /// A file of finished answers holds those of another model or of other settings.
    case otherAnswers(path: String, difference: String)
    /// The tokenizer has no token that a text can be predicted from.
    case noPrefixToken(tokenizer: String)

    /// The problem and, where there is one, the remedy.
    public var description: String {
        switch self {
        case .unsupportedForm(let form, let reason):
            "this model cannot be evaluated in the form '\(form)': \(reason)"
        case .tokenOutOfRange(let token, let vocabularySize):
            "token \(token) is outside the model's vocabulary of \(vocabularySize): use the tokenizer that the "
                + "model was trained with"
        case .noQuestions:
            "the stories have no recalls to measure: generate more or longer stories, or shorten the context"
        case .malformedExample(let path, let line, let reason):
            "cannot read '\(path)'\(line > 0 ? ", line \(line)" : ""): \(reason)"
        case .unknownTask(let name, let known):
            "there is no task '\(name)': use \(known.joined(separator: ", "))"
        case .missingData(let task, let split, let hint):
            "there is no \(split) file of '\(task)': \(hint)"
        case .ambiguousData(let task, let split, let paths):
            "several files could be the \(split) file of '\(task)': "
                + paths.map { "'\($0)'" }.joined(separator: ", ") + "; name the one to use"
        case .tooFewExamples(let task, let needed, let found):
            "\(needed) examples are drawn for each question of '\(task)', but there are only \(found): use fewer shots "
                + "or a larger file of examples"
        case .unscorable(let task, let document, let reason):
            "document \(document) of '\(task)' cannot be scored: \(reason)"
        case .cannotCreateFolder(let path, let reason):
            "cannot create the folder '\(path)': \(reason)"
        case .cannotUseAnswers(let path, let reason):
            "cannot use '\(path)', which holds the answers of an evaluation that was interrupted: \(reason); check its "
                + "folder, or remove the file to begin again"
        case .otherAnswers(let path, let difference):
            "'\(path)' holds the answers of another evaluation that was interrupted: \(difference); remove the file, or "
                + "choose another folder"
        case .noPrefixToken(let tokenizer):
            "the tokenizer '\(tokenizer)' has neither a begin nor an end token, so the first token of a text cannot be "
                + "predicted: use a tokenizer with one of them"
        }
    }

    /// The same text as ``description``.
    public var errorDescription: String? { description }
}
