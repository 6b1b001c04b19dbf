import RetNetStorage

/// Operations on text as Python 3 defines them, in which the reference scripts of answers and tasks are written.
///
/// They work on Unicode scalars and differ in details from those of Swift, which work on grapheme clusters.
enum PythonText {
    /// Returns the scalars of `text.lower()`: a capital sigma at the end of a word becomes a final one.
    static func lowercased(_ text: String) -> [Unicode.Scalar] {
        let scalars = Array(text.unicodeScalars)
        return lowercased(scalars, from: 0)
    }

    /// Returns the lower case of the scalars from a place on; those before it count for the form of a sigma.
    private static func lowercased(_ scalars: [Unicode.Scalar], from start: Int) -> [Unicode.Scalar] {
        var result: [Unicode.Scalar] = []
        result.reserveCapacity(scalars.count)
        for index in start..<scalars.count {
            let scalar = scalars[index]
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

    /// Returns `text.capitalize()`: the first scalar in title case, all others in lower case.
    static func capitalized(_ text: String) -> String {
        let scalars = Array(text.unicodeScalars)
        guard let first = scalars.first else { return text }
        return first.properties.titlecaseMapping + string(lowercased(scalars, from: 1))
    }

    /// Returns the text of scalars.
    static func string(_ scalars: some Sequence<Unicode.Scalar>) -> String {
        var view = String.UnicodeScalarView()
        view.append(contentsOf: scalars)
        return String(view)
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
        text.split(whereSeparator: isSpace).map { ExactString(string($0)) }
    }

    /// Returns `text.strip()`.
    static func stripped(_ text: String) -> String {
        var rest = text.unicodeScalars[...]
        while let first = rest.first, isSpace(first) { rest.removeFirst() }
        while let last = rest.last, isSpace(last) { rest.removeLast() }
        return String(rest)
    }

    /// Returns `text.lstrip()`.
    static func strippedAtStart(_ text: String) -> String {
        String(text.unicodeScalars.drop(while: isSpace))
    }

    /// Returns `text.rstrip()` and the white space that it removes.
    static func splittingTrailingSpace(_ text: String) -> (text: String, space: String) {
        var rest = text.unicodeScalars[...]
        while let last = rest.last, isSpace(last) { rest.removeLast() }
        return (String(rest), String(text.unicodeScalars[rest.endIndex...]))
    }

    /// Returns `text.replace(old, new)`; an empty `old` changes nothing.
    static func replacing(_ text: String, _ old: String, with new: String) -> String {
        let (bytes, old, new) = (Array(text.utf8), Array(old.utf8), Array(new.utf8))
        guard let first = old.first, bytes.count >= old.count else { return text }
        var result: [UInt8] = []
        result.reserveCapacity(bytes.count)
        var index = 0
        while index < bytes.count {
            if bytes[index] == first, index + old.count <= bytes.count,
                bytes[index..<index + old.count].elementsEqual(old)
            {
                result += new
                index += old.count
            } else {
                result.append(bytes[index])
                index += 1
            }
        }
        return String(decoding: result, as: UTF8.self)
    }

    /// Returns `len(re.split(r"\\s+", text))`, by which word perplexity counts words.
    static func splitCount(_ text: String) -> Int {
        var (count, wasSpace) = (1, false)
        for scalar in text.unicodeScalars {
            let space = isSpace(scalar)
            if space, !wasSpace { count += 1 }
            wasSpace = space
        }
        return count
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
