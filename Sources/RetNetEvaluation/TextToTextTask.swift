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
            let (question, context) = (Self.spaced(try text("question")), Self.spaced(try text("context")))
            guard let texts = object["answers"] as? [String], !texts.isEmpty else {
                throw MalformedExample("'answers' is not a list of texts")
            }
            let answers = texts.map(Self.spaced)
            return TextToTextExample(
                input: Self.collapsed("question: \(question) context: \(context)"), target: answers[0],
                answers: answers)
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
        if let word = object["label"] as? String, let label = labels.first(where: { $0.isExactly(word) }) {
            return label
        }
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

    /// Returns a text with spaces around ASCII punctuation, as T5 prepares questions, contexts and answers.
    ///
    /// Spaces at the ends stay, as in the reference (`_pad_punctuation` of `t5/data/preprocessors.py`, commit e081111).
    static func spaced(_ text: String) -> String {
        var result = String.UnicodeScalarView()
        for scalar in text.unicodeScalars {
            if PythonText.isASCIIPunctuation(scalar) {
                result.append(contentsOf: [" ", scalar, " "])
            } else {
                result.append(scalar)
            }
        }
        return collapsed(String(result))
    }

    /// Returns a text with runs of spaces, tabs, line feeds, form feeds and carriage returns as one space each.
    static func collapsed(_ text: String) -> String {
        var result = String.UnicodeScalarView()
        var followsSpace = false
        for scalar in text.unicodeScalars {
            switch scalar {
            case " ", "\t", "\n", "\u{C}", "\r":
                if !followsSpace { result.append(" ") }
                followsSpace = true
            default:
                result.append(scalar)
                followsSpace = false
            }
        }
        return String(result)
    }

    // MARK: Scores

    /// Returns the metrics of predictions by their usual names, each from 0 to 100 (correlations from -100).
    ///
    /// They are those of T5's reference code for the same predictions.
    public func score(_ predictions: [String], _ examples: [TextToTextExample]) -> [(
        name: String, value: Double
    )] {
        // As the reference does: texts become the numbers of labels, and all that are none share one number.
        func number(_ text: String) -> Int { labels.firstIndex { $0.isExactly(text) } ?? -1 }
        let (found, truths) = (predictions.map(number), examples.map { number($0.target) })
        func percent(_ name: String, _ value: Double) -> (name: String, value: Double) { (name, 100 * value) }
        func mean(_ measure: (String, [String]) -> Double) -> Double {
            guard !examples.isEmpty else { return 0 }
            return zip(predictions, examples).reduce(0) { $0 + measure($1.0, $1.1.answers) }
                / Double(examples.count)
        }
        switch self {
        case .cola:
            return [percent("matthews", ClassificationMetrics.matthews(found, truths))]
        case .mrpc, .qqp:
            // A text that is no label counts as the wrong one of the two.
            let valid = zip(found, truths).map { $0 < 0 ? 1 - $1 : $0 }
            return [
                percent("f1", ClassificationMetrics.f1(of: 1, valid, truths)),
                percent("accuracy", ClassificationMetrics.accuracy(found, truths)),
            ]
        case .stsb:
            // A text that is no number counts as -1, as in the reference.
            let (x, y) = (
                predictions.map { PythonText.number($0) ?? -1 },
                examples.map { PythonText.number($0.target) ?? -1 }
            )
            return [
                percent("pearson", CorrelationMetrics.pearson(x, y)),
                percent("spearman", CorrelationMetrics.spearman(x, y)),
            ]
        case .cb:
            return [
                percent("mean_f1", ClassificationMetrics.meanF1(over: Array(labels.indices), found, truths)),
                percent("accuracy", ClassificationMetrics.accuracy(found, truths)),
            ]
        case .sst2, .mnli, .qnli, .rte, .boolq, .copa, .wic:
            return [percent("accuracy", ClassificationMetrics.accuracy(found, truths))]
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

    /// Returns true if a text is one of the right answers, scalar by scalar, apart from white space at the ends.
    public func isAnsweredExactly(by text: String) -> Bool {
        let own = PythonText.stripped(text)
        return answers.contains { PythonText.stripped($0).isExactly(own) }
    }
}
