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

/// Operations on text as Python 3 defines them, in which the reference scripts of answers are written.
///
/// They work on Unicode scalars and differ in details from those of Swift, which work on grapheme clusters.
enum PythonText {
    /// Returns the scalars of `text.lower()`: a capital sigma at the end of a word becomes a final one.
    static func lowercased(_ text: String) -> [Unicode.Scalar] {
        let scalars = Array(text.unicodeScalars)
        var result: [Unicode.Scalar] = []
        result.reserveCapacity(scalars.count)
        for (index, scalar) in scalars.enumerated() {
            if scalar == "\u{3A3}" {
                let followsLetter = isCased(scalars[..<index].reversed())
                let endsWord = followsLetter && !isCased(scalars[(index + 1)...])
                result.append(endsWord ? "\u{3C2}" : "\u{3C3}")
            } else {
                result.append(contentsOf: scalar.properties.lowercaseMapping.unicodeScalars)
            }
        }
        return result
    }

    /// Returns true if the first scalar that case mapping does not ignore has a case.
    private static func isCased(_ scalars: some Sequence<Unicode.Scalar>) -> Bool {
        scalars.first { !$0.properties.isCaseIgnorable }?.properties.isCased ?? false
    }

    /// Returns `re.sub(r"\\b(a|an|the)\\b", " ", text)`.
    static func withoutArticles(_ text: [Unicode.Scalar]) -> [Unicode.Scalar] {
        var result: [Unicode.Scalar] = []
        var start = 0
        while start < text.count {
            var end = start
            while end < text.count, isOfWord(text[end]) { end += 1 }
            let word = text[start..<end]
            if articles.contains(where: word.elementsEqual) {
                result.append(" ")
            } else {
                result.append(contentsOf: word)
            }
            if end < text.count { result.append(text[end]) }
            start = end + 1
        }
        return result
    }

    private static let articles: [[Unicode.Scalar]] = [["a"], ["a", "n"], ["t", "h", "e"]]

    /// Returns `text.split()`.
    static func words(_ text: [Unicode.Scalar]) -> [ExactString] {
        text.split(whereSeparator: isSpace).map { word in
            var scalars = String.UnicodeScalarView()
            scalars.append(contentsOf: word)
            return ExactString(String(scalars))
        }
    }

    /// Returns `text.strip()`.
    static func stripped(_ text: String) -> String {
        var rest = text.unicodeScalars[...]
        while let first = rest.first, isSpace(first) { rest.removeFirst() }
        while let last = rest.last, isSpace(last) { rest.removeLast() }
        return String(rest)
    }

    /// Returns `float(text)` for decimal numbers, or nil.
    ///
    /// Infinities and NaN, which would spoil every mean, and underscores between digits count as no number.
    static func number(_ text: String) -> Double? {
        var rest = Array(stripped(text).utf8)[...]
        func isDigit(_ byte: UInt8) -> Bool { (0x30...0x39).contains(byte) }
        func takeDigits() -> String {
            let digits = rest.prefix(while: isDigit)
            rest = rest.dropFirst(digits.count)
            return String(decoding: digits, as: UTF8.self)
        }
        func take(_ bytes: String) -> UInt8? {
            guard let first = rest.first, bytes.utf8.contains(first) else { return nil }
            rest = rest.dropFirst()
            return first
        }
        let sign = take("+-") == UInt8(ascii: "-") ? "-" : ""
        let whole = takeDigits()
        let fraction = take(".") == nil ? "" : takeDigits()
        guard !whole.isEmpty || !fraction.isEmpty else { return nil }
        var exponent = "0"
        if take("eE") != nil {
            let sign = take("+-") == UInt8(ascii: "-") ? "-" : ""
            let digits = takeDigits()
            guard !digits.isEmpty else { return nil }
            exponent = sign + digits
        }
        guard rest.isEmpty, let value = Double("\(sign)0\(whole).\(fraction)0e\(exponent)"), value.isFinite
        else { return nil }
        return value
    }

    /// Returns true for a scalar of `str.split()`: white space and the four separators of ASCII.
    static func isSpace(_ scalar: Unicode.Scalar) -> Bool {
        scalar.properties.isWhitespace || (0x1C...0x1F).contains(scalar.value)
    }

    /// Returns true for a scalar of `\\w`: letters, anything with a numeric value, and the underscore.
    private static func isOfWord(_ scalar: Unicode.Scalar) -> Bool {
        if scalar == "_" { return true }
        switch scalar.properties.generalCategory {
        case .uppercaseLetter, .lowercaseLetter, .titlecaseLetter, .modifierLetter, .otherLetter: return true
        default: return scalar.properties.numericType != nil
        }
    }

    /// Returns true for a character of `string.punctuation`.
    static func isASCIIPunctuation(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.value {
        case 0x21...0x2F, 0x3A...0x40, 0x5B...0x60, 0x7B...0x7E: true
        default: false
        }
    }
}
