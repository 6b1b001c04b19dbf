import Foundation
import RetNetStorage

/// A zero- or few-shot task of lm-evaluation-harness, declared once as the harness's YAML files declare it.
///
/// A task turns a document of its data set into a question: a context with choices, contexts with one continuation, a
/// context with its last word, or a text to be predicted as a whole. Prompts, sampling, scoring and metrics then follow
/// from the kind of question. Source: EleutherAI/lm-evaluation-harness 0.4.13, `lm_eval/tasks` and `lm_eval/api/task.py`.
public struct EvaluationTask: Sendable {
    /// The name, as in the harness.
    public var name: String
    /// The version of the task in the harness, which changes whenever its scores do.
    public var version: String
    /// The data set on the Hugging Face hub, with the name of its configuration.
    public var dataset: (path: String, configuration: String?)
    /// The splits of the data set that the task uses.
    public var splits: [Split]
    /// The names that data files of the task may begin with, besides its own.
    public var fileNames: [String]
    /// The kind of request that the documents become.
    public var kind: Kind
    /// The metrics, in the order of the harness.
    public var metrics: [TaskMetric]
    /// The fields of a document, for error messages.
    public var fields: String
    /// True if the target is the text of the right choice, false if it is the index; scores are the same.
    var targetIsText = false
    /// A remark on where to get the data, if the hub does not give it to everybody.
    public var dataNote: String?
    /// The document as the harness records it, where the task changes or adds fields; nil where it leaves them alone.
    var processed: (@Sendable (TaskDocument, TaskQuestion) -> JSONValue?)?
    let makeQuestion: @Sendable (TaskDocument) throws(MalformedExample) -> TaskQuestion

    init(
        _ name: String, version: String = "1.0", dataset: (path: String, configuration: String?),
        splits: [Split], fileNames: [String] = [], kind: Kind = .multipleChoice, metrics: [TaskMetric],
        fields: String, dataNote: String? = nil, targetIsText: Bool = false,
        processed: (@Sendable (TaskDocument, TaskQuestion) -> JSONValue?)? = nil,
        question: @escaping @Sendable (TaskDocument) throws(MalformedExample) -> TaskQuestion
    ) {
        self.name = name
        self.version = version
        self.dataset = dataset
        self.splits = splits
        self.fileNames = fileNames
        self.kind = kind
        self.metrics = metrics
        self.fields = fields
        self.dataNote = dataNote
        self.targetIsText = targetIsText
        self.processed = processed
        makeQuestion = question
    }

    /// A part of a data set.
    public enum Split: String, Sendable, CaseIterable {
        case train, validation, test

        /// The words that stand for the split in names of files.
        var words: [String] {
            switch self {
            case .train: ["train", "training"]
            case .validation: ["validation", "valid", "val", "dev"]
            case .test: ["test"]
            }
        }
    }

    /// The kind of requests, as the harness names them.
    public enum Kind: String, Sendable {
        case multipleChoice = "multiple_choice"
        case logLikelihood = "loglikelihood"
        case rolling = "loglikelihood_rolling"
    }

    /// The split that is evaluated: the test split, else the validation split.
    public var evaluatedSplit: Split { splits.contains(.test) ? .test : .validation }

    /// The split of the few-shot examples: the first of training, validation and test.
    public var fewShotSplit: Split {
        Split.allCases.first(where: splits.contains) ?? evaluatedSplit
    }

    /// True if the document itself is taken out of its few-shot examples.
    ///
    /// The harness does so for tasks without a test split; of the others WSC273 and LAMBADA (OpenAI) draw examples from the
    /// evaluated documents and may draw the question itself.
    public var excludesDocument: Bool { !splits.contains(.test) }

    /// Returns the question of a document; throws ``MalformedExample`` with the missing or wrong field.
    func question(_ document: TaskDocument) throws(MalformedExample) -> TaskQuestion {
        try makeQuestion(document)
    }

    /// All tasks, in the order of their documentation.
    public static let all: [EvaluationTask] = commonsense + questionAnswering + languageModeling

    /// Returns the task of a name, or throws ``EvaluationError/unknownTask(name:known:)``.
    public static func named(_ name: String) throws -> EvaluationTask {
        guard let task = all.first(where: { $0.name == name }) else {
            throw EvaluationError.unknownTask(name: name, known: all.map(\.name))
        }
        return task
    }

    /// Names that stand for several tasks: the harness's tags and the seven tasks of the RetNet paper.
    public static let groups: [(name: String, tasks: [String])] = [
        ("ai2_arc", ["arc_challenge", "arc_easy"]),
        ("lambada", ["lambada_openai", "lambada_standard"]),
        ("storycloze", ["storycloze_2016", "storycloze_2018"]),
        (
            "retnet_paper",
            ["hellaswag", "boolq", "copa", "piqa", "wsc273", "winogrande", "storycloze_2016"]
        ),
    ]
}

/// The question that a document becomes.
public enum TaskQuestion: Sendable, Equatable {
    /// A context and the choices that may follow it; the score is the log-likelihood of the choice.
    case choices(context: String, choices: [String], gold: Int)
    /// Contexts that differ in the choice, before the same continuation, whose log-likelihood is the score.
    case contexts([String], continuation: String, gold: Int)
    /// A context and its one right continuation, which the model should give greedily.
    case continuation(context: String, target: String)
    /// A text that is predicted from its beginning, with the original text that words and bytes are counted in.
    case text(String, original: String)

    /// The delimiter before a choice and between question and answer of an example.
    static let targetDelimiter = " "
    /// The delimiter after an example.
    static let exampleDelimiter = "\n\n"

    /// The requests: pairs of context and continuation, behind the text of the few-shot examples.
    func requests(behind examples: String) -> [(context: String, continuation: String)] {
        switch self {
        case .choices(let context, let choices, _):
            choices.map { (examples + context, Self.targetDelimiter + $0) }
        case .contexts(let contexts, let continuation, _):
            contexts.map { (examples + $0, Self.targetDelimiter + continuation) }
        case .continuation(let context, let target): [(examples + context, target)]
        case .text(let text, _): [("", text)]
        }
    }

    /// The text of the question as an example: question, delimiter, answer, delimiter.
    var example: String {
        func text(_ question: String, _ answer: String) -> String {
            question + Self.targetDelimiter + answer + Self.exampleDelimiter
        }
        switch self {
        case .choices(let context, let choices, let gold): return text(context, choices[gold])
        case .contexts(let contexts, let continuation, let gold):
            // The harness writes delimiters only around an answer, and an empty text is none.
            return continuation.isEmpty ? contexts[gold] : text(contexts[gold], continuation)
        case .continuation(let context, let target):
            return target.isEmpty ? context : text(context, target)
        case .text(let text, _): return text
        }
    }

    /// Returns the target as the harness records it: the text or the index of the right choice, or the continuation.
    func target(isText: Bool) -> String {
        switch self {
        case .choices(_, let choices, let gold): isText ? choices[gold] : "\(gold)"
        case .contexts(_, let continuation, _): continuation
        case .continuation(_, let target): target
        case .text(let text, _): text
        }
    }
}

/// A document of a data file: a JSON object, read by the names of its fields.
struct TaskDocument: Sendable, Equatable {
    let value: JSONValue

    init(_ value: JSONValue) throws(MalformedExample) {
        guard case .object = value else { throw MalformedExample("it is \(value.kind), not a JSON object") }
        self.value = value
    }

    func has(_ name: String) -> Bool { value[name] != nil }

    /// Returns the object with other values of some fields; new ones stand at its end.
    func replacing(_ fields: [(name: String, value: JSONValue)]) -> JSONValue {
        guard case .object(var members) = value else { return value }
        for field in fields {
            if let index = members.firstIndex(where: { $0.name.isExactly(field.name) }) {
                members[index].value = field.value
            } else {
                members.append(field)
            }
        }
        return .object(members)
    }

    func text(_ name: String) throws(MalformedExample) -> String {
        guard case .string(let text)? = value[name] else { throw wrong(name, "a text") }
        return text
    }

    func texts(_ name: String) throws(MalformedExample) -> [String] {
        guard let value = value[name] else { throw wrong(name, "a list of texts") }
        return try Self.texts(value, name)
    }

    /// The texts of a list inside an object, such as `choices.text`.
    func texts(_ name: String, _ inner: String) throws(MalformedExample) -> [String] {
        guard let value = value[name]?[inner] else { throw MalformedExample("'\(name).\(inner)' is missing") }
        return try Self.texts(value, "\(name).\(inner)")
    }

    private static func texts(_ value: JSONValue, _ name: String) throws(MalformedExample) -> [String] {
        guard case .array(let elements) = value else {
            throw MalformedExample("'\(name)' is \(value.kind), not a list of texts")
        }
        var texts: [String] = []
        for element in elements {
            guard case .string(let text) = element else {
                throw MalformedExample("'\(name)' holds \(element.kind), not only texts")
            }
            texts.append(text)
        }
        return texts
    }

    /// A whole number, a text of digits, or true and false as 1 and 0.
    func int(_ name: String) throws(MalformedExample) -> Int {
        switch value[name] {
        case .int(let number)?: return number
        case .bool(let flag)?: return flag ? 1 : 0
        case .string(let text)?:
            if let number = Int(text) { return number }
        default: break
        }
        throw wrong(name, "a whole number")
    }

    /// The index of the right choice; `name` is the field it comes from.
    func gold(_ index: Int, of count: Int, _ name: String) throws(MalformedExample) -> Int {
        guard index >= 0, index < count else {
            throw MalformedExample("'\(name)' names choice \(index), but there are \(count) choices from 0")
        }
        return index
    }

    func wrong(_ name: String, _ expected: String) -> MalformedExample {
        guard let value = value[name] else { return MalformedExample("the field '\(name)' is missing") }
        return MalformedExample("'\(name)' is \(value.kind), not \(expected)")
    }
}
