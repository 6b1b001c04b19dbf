import RetNetStorage

/// Metrics of a free answer against reference answers, of which the best match counts.
///
/// They are those of T5's reference code (`t5/evaluation/qa_utils.py` of text-to-text-transfer-transformer, commit
/// e081111), which follow the official scripts of SQuAD 1.1 and TriviaQA. Like those, they work on Unicode scalars: a
/// joiner, a combining accent or a keycap is a scalar of its own, and texts are compared without normal forms.
public enum AnswerMetrics {
    /// The normalization of answers before they are compared.
    public enum Normalization: Sendable {
        /// SQuAD: lower case, ASCII punctuation removed, articles dropped, spaces collapsed.
        case squad
        /// TriviaQA: lower case, ASCII punctuation and typographic quotes replaced by spaces, articles dropped.
        case triviaQA
    }

    /// Returns 1 if the prediction equals one of the answers, otherwise 0.
    public static func exactMatch(_ prediction: String, _ answers: [String], _ normalization: Normalization)
        -> Double
    {
        let own = normalized(prediction, normalization)
        return answers.contains { normalized($0, normalization).isExactly(own) } ? 1 : 0
    }

    /// Returns the largest F1 over the words of the prediction and of an answer, with repetitions.
    ///
    /// It is 0 without a common word, also if neither has a word.
    public static func f1(_ prediction: String, _ answers: [String], _ normalization: Normalization) -> Double
    {
        let own = words(prediction, normalization)
        return answers.reduce(0) { max($0, f1(own, words($1, normalization))) }
    }

    private static func f1(_ prediction: [ExactString], _ answer: [ExactString]) -> Double {
        var left: [ExactString: Int] = [:]
        for word in answer { left[word, default: 0] += 1 }
        var shared = 0
        for word in prediction where left[word, default: 0] > 0 {
            left[word, default: 0] -= 1
            shared += 1
        }
        guard shared > 0 else { return 0 }
        let precision = Double(shared) / Double(prediction.count)
        let recall = Double(shared) / Double(answer.count)
        return 2 * precision * recall / (precision + recall)
    }

    /// Returns the normalized text of an answer.
    public static func normalized(_ text: String, _ normalization: Normalization) -> String {
        words(text, normalization).map(\.text).joined(separator: " ")
    }

    private static func words(_ text: String, _ normalization: Normalization) -> [ExactString] {
        var kept: [Unicode.Scalar] = []
        for scalar in PythonText.lowercased(text) {
            switch normalization {
            case .squad:
                if !PythonText.isASCIIPunctuation(scalar) { kept.append(scalar) }
            case .triviaQA:
                let drops =
                    PythonText.isASCIIPunctuation(scalar)
                    || "\u{2018}\u{2019}\u{b4}".unicodeScalars.contains(scalar)
                kept.append(drops ? " " : scalar)
            }
        }
        return PythonText.words(PythonText.withoutArticles(kept))
    }
}
