import Foundation

/// How well a free answer matches reference answers, of which the best counts.
public enum AnswerMetrics {
    /// How answers are made comparable before anything is counted.
    public enum Normalization: Sendable {
        /// SQuAD: lower case, punctuation removed, articles dropped, spaces collapsed.
        case squad
        /// TriviaQA: lower case, punctuation and typographic quotes replaced by spaces, articles dropped.
        case triviaQA
    }

    /// Whether the prediction equals one of the answers; 1 or 0.
    public static func exactMatch(_ prediction: String, _ answers: [String], _ normalization: Normalization)
        -> Double
    {
        let own = normalized(prediction, normalization)
        return answers.contains { normalized($0, normalization) == own } ? 1 : 0
    }

    /// The largest F1 over the words of the prediction and of an answer, repeated words counted.
    public static func f1(_ prediction: String, _ answers: [String], _ normalization: Normalization) -> Double
    {
        let own = words(prediction, normalization)
        return answers.reduce(0) { max($0, f1(own, words($1, normalization))) }
    }

    private static func f1(_ prediction: [Substring], _ answer: [Substring]) -> Double {
        // As the official script: two empty answers agree, one empty answer does not.
        guard !prediction.isEmpty, !answer.isEmpty else {
            return prediction.isEmpty == answer.isEmpty ? 1 : 0
        }
        var left: [Substring: Int] = [:]
        for word in answer { left[word, default: 0] += 1 }
        var shared = 0
        for word in prediction where left[word, default: 0] > 0 {
            left[word, default: 0] -= 1
            shared += 1
        }
        return 2 * Double(shared) / Double(prediction.count + answer.count)
    }

    /// The comparable text of an answer.
    public static func normalized(_ text: String, _ normalization: Normalization) -> String {
        words(text, normalization).joined(separator: " ")
    }

    private static func words(_ text: String, _ normalization: Normalization) -> [Substring] {
        var kept = String.UnicodeScalarView()
        for scalar in text.lowercased().unicodeScalars {
            switch normalization {
            case .squad:
                if !isASCIIPunctuation(scalar) { kept.append(scalar) }
            case .triviaQA:
                let drops =
                    isASCIIPunctuation(scalar) || "\u{2018}\u{2019}\u{b4}".unicodeScalars.contains(scalar)
                kept.append(drops ? " " : scalar)
            }
        }
        return String(kept).split { $0.isWhitespace }.filter { !["a", "an", "the"].contains($0) }
    }

    private static func isASCIIPunctuation(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.value {
        case 0x21...0x2F, 0x3A...0x40, 0x5B...0x60, 0x7B...0x7E: true
        default: false
        }
    }
}
