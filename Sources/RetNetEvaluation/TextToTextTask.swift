import Foundation
import RetNetStorage

/// A task of GLUE, SuperGLUE or question answering in text-to-text form.
///
/// An input names its task and then its features, `sst2 sentence: …`; a target is a word or a phrase. Source: T5
/// (arXiv 1910.10683), appendix D, in the order of features of the reference code.
public enum TextToTextTask: String, Sendable, CaseIterable {
    case cola, sst2, mrpc, qqp, stsb, mnli, qnli, rte, boolq, cb, copa, wic, squad
    /// Closed-book TriviaQA: the question alone.
    case triviaQA = "trivia_qa"

    /// The words of a classification task by the number of their label; empty for free answers.
    public var labels: [String] {
        switch self {
        case .cola: ["unacceptable", "acceptable"]
        case .sst2: ["negative", "positive"]
        case .mrpc: ["not_equivalent", "equivalent"]
        case .qqp: ["not_duplicate", "duplicate"]
        case .mnli: ["entailment", "neutral", "contradiction"]
        case .qnli, .rte: ["entailment", "not_entailment"]
        case .boolq, .wic: ["False", "True"]
        case .cb: ["entailment", "contradiction", "neutral"]
        case .copa: ["choice1", "choice2"]
        case .stsb, .squad, .triviaQA: []
        }
    }

    /// The features of an input in their order, as they are named in data files.
    private var features: [String] {
        switch self {
        case .cola, .sst2: ["sentence"]
        case .mrpc, .stsb, .rte: ["sentence1", "sentence2"]
        case .qqp: ["question1", "question2"]
        case .qnli: ["question", "sentence"]
        case .boolq: ["passage", "question"]
        case .mnli, .cb: ["hypothesis", "premise"]
        case .copa: ["choice1", "choice2", "premise", "question"]
        case .wic: ["sentence1", "sentence2", "word"]
        case .squad: ["question", "context"]
        case .triviaQA: ["question"]
        }
    }

    // MARK: Examples

    /// Returns the example of one object of a data file; throws the reason when a field is missing or wrong.
    func example(_ object: [String: Any]) throws(MalformedExample) -> TextToTextExample {
        func text(_ key: String) throws(MalformedExample) -> String {
            guard let value = object[key] as? String else { throw MalformedExample("'\(key)' is not a text") }
            return value
        }
        switch self {
        case .squad:
            let input =
                "question: \(Self.spaced(try text("question"))) context: \(Self.spaced(try text("context")))"
            guard let answers = object["answers"] as? [String], let first = answers.first else {
                throw MalformedExample("'answers' is not a list of texts")
            }
            return TextToTextExample(input: input, target: first, answers: answers)
        case .triviaQA:
            let answer = try text("answer")
            let aliases = object["aliases"] as? [String] ?? []
            return TextToTextExample(
                input: "trivia_qa question: \(try text("question"))", target: answer,
                answers: [answer] + aliases)
        default:
            var parts = [rawValue]
            for feature in features { parts.append("\(feature): \(try text(feature))") }
            return TextToTextExample(input: parts.joined(separator: " "), target: try target(object))
        }
    }

    private func target(_ object: [String: Any]) throws(MalformedExample) -> String {
        if self == .stsb {
            guard let score = (object["score"] as? NSNumber)?.doubleValue, (0...5).contains(score) else {
                throw MalformedExample("'score' is not a number from 0 to 5")
            }
            return Self.scoreText(score)
        }
        if let word = object["label"] as? String, labels.contains(word) { return word }
        guard let number = object["label"] as? NSNumber, labels.indices.contains(number.intValue),
            number.doubleValue == Double(number.intValue)
        else { throw MalformedExample("'label' is none of the \(labels.count) labels") }
        return labels[number.intValue]
    }

    /// Returns a similarity rounded to the nearest fifth, with one decimal.
    static func scoreText(_ score: Double) -> String {
        let tenths = Int((score * 5).rounded(.toNearestOrEven)) * 2
        return "\(tenths / 10).\(tenths % 10)"
    }

    /// Returns a text with spaces around punctuation and runs of spaces collapsed, as T5 prepares SQuAD.
    static func spaced(_ text: String) -> String {
        var result = ""
        for character in text {
            if character.isLetter || character.isNumber || character == "_" || character.isWhitespace {
                result.append(character)
            } else {
                result += " \(character) "
            }
        }
        return result.split { $0.isWhitespace }.joined(separator: " ")
    }

    // MARK: Scores

    /// Returns the metrics of predictions by their usual names, each from 0 to 100 (correlations from -100).
    public func score(_ predictions: [String], _ examples: [TextToTextExample]) -> [(
        name: String, value: Double
    )] {
        let truths = examples.map(\.target)
        func percent(_ name: String, _ value: Double) -> (name: String, value: Double) { (name, 100 * value) }
        func mean(_ measure: (String, [String]) -> Double) -> Double {
            guard !examples.isEmpty else { return 0 }
            return zip(predictions, examples).reduce(0) { $0 + measure($1.0, $1.1.answers) }
                / Double(examples.count)
        }
        switch self {
        case .cola:
            return [percent("matthews", ClassificationMetrics.matthews(predictions, truths))]
        case .mrpc, .qqp:
            return [
                percent("f1", ClassificationMetrics.f1(of: labels[1], predictions, truths)),
                percent("accuracy", ClassificationMetrics.accuracy(predictions, truths)),
            ]
        case .stsb:
            // A text that is no number counts as -1, as in the reference.
            let (x, y) = (predictions.map { Double($0) ?? -1 }, truths.map { Double($0) ?? -1 })
            return [
                percent("pearson", CorrelationMetrics.pearson(x, y)),
                percent("spearman", CorrelationMetrics.spearman(x, y)),
            ]
        case .cb:
            return [
                percent("mean_f1", ClassificationMetrics.meanF1(over: labels, predictions, truths)),
                percent("accuracy", ClassificationMetrics.accuracy(predictions, truths)),
            ]
        case .sst2, .mnli, .qnli, .rte, .boolq, .copa, .wic:
            return [percent("accuracy", ClassificationMetrics.accuracy(predictions, truths))]
        case .squad:
            return [
                percent("exact_match", mean { AnswerMetrics.exactMatch($0, $1, .squad) }),
                percent("f1", mean { AnswerMetrics.f1($0, $1, .squad) }),
            ]
        case .triviaQA:
            return [
                percent("exact_match", mean { AnswerMetrics.exactMatch($0, $1, .triviaQA) }),
                percent("f1", mean { AnswerMetrics.f1($0, $1, .triviaQA) }),
            ]
        }
    }
}

/// The reason why an object of a data file is no example.
struct MalformedExample: Error {
    let reason: String
    init(_ reason: String) { self.reason = reason }
}

/// One example of a text-to-text task: an input and its target.
public struct TextToTextExample: Sendable, Hashable {
    /// The text that the model reads, beginning with the name of the task.
    public var input: String
    /// The text that the model learns to write.
    public var target: String
    /// All right answers, including the target.
    public var answers: [String]

    /// Creates an example; by default the target is the only right answer.
    public init(input: String, target: String, answers: [String]? = nil) {
        self.input = input
        self.target = target
        self.answers = answers ?? [target]
    }
}

/// The examples of a task in JSON lines, plain or compressed (`.gz`).
public enum TextToTextFile {
    private static let maximumByteCount = 1 << 30

    /// Reads all examples of a file in their order.
    ///
    /// Throws `StorageError` and ``EvaluationError/malformedExample(path:line:reason:)``.
    public static func examples(_ task: TextToTextTask, path: String) throws -> [TextToTextExample] {
        var bytes = [UInt8]()
        if path.hasSuffix(".gz") {
            try Gzip.decompress(file: path) { piece in
                guard bytes.count + piece.count <= maximumByteCount else {
                    throw EvaluationError.malformedExample(
                        path: path, line: 0, reason: "the file is too large")
                }
                bytes.append(contentsOf: piece)
            }
        } else {
            try MappedFile(path: path).withUnsafeBytes { bytes = Array($0) }
        }
        var examples: [TextToTextExample] = []
        // Only line feeds separate lines: texts may hold other line separators.
        for (index, line) in bytes.split(separator: 0x0A).enumerated() {
            guard let object = try? JSONSerialization.jsonObject(with: Data(line)) as? [String: Any] else {
                throw EvaluationError.malformedExample(
                    path: path, line: index + 1, reason: "it is not a JSON object")
            }
            do {
                examples.append(try task.example(object))
            } catch let error {
                throw EvaluationError.malformedExample(path: path, line: index + 1, reason: error.reason)
            }
        }
        guard !examples.isEmpty else {
            throw EvaluationError.malformedExample(path: path, line: 0, reason: "it holds no examples")
        }
        return examples
    }
}
