import Foundation

/// Python's methods of texts: on bytes and scalars, as Swift compares characters in another way.
enum PythonText {
    /// Returns the place of a part in bytes; nil if it is not there.
    static func find(_ part: String, in text: String) -> Int? {
        find(Array(part.utf8), in: Array(text.utf8), from: 0)
    }

    private static func find(_ part: [UInt8], in text: [UInt8], from start: Int) -> Int? {
        guard !part.isEmpty else { return start <= text.count ? start : nil }
        guard text.count >= part.count else { return nil }
        var place = start
        while place <= text.count - part.count {
            if text[place] == part[0], text[place..<place + part.count].elementsEqual(part) { return place }
            place += 1
        }
        return nil
    }

    static func replace(_ part: String, with other: String, in text: String, count: Int = .max) -> String {
        let (part, other, text) = (Array(part.utf8), Array(other.utf8), Array(text.utf8))
        guard !part.isEmpty else {
            // Between all characters, as Python does.
            var result = other
            var rest = count - 1
            for (index, scalar) in String(decoding: text, as: UTF8.self).unicodeScalars.enumerated() {
                if index > 0, rest > 0 {
                    result += other
                    rest -= 1
                }
                result += Array(String(scalar).utf8)
            }
            return String(decoding: text.isEmpty || rest <= 0 ? result : result + other, as: UTF8.self)
        }
        var (result, start, done) = ([UInt8](), 0, 0)
        while done < count, let place = find(part, in: text, from: start) {
            result += text[start..<place] + other
            start = place + part.count
            done += 1
        }
        return String(decoding: result + text[start...], as: UTF8.self)
    }

    /// Splits at a separator, at most so many times, from the front or the back.
    static func split(_ text: String, _ separator: String, limit: Int, fromBack: Bool) throws -> [String] {
        guard !separator.isEmpty else { throw TemplateError("a separator is empty") }
        let (bytes, mark) = (Array(text.utf8), Array(separator.utf8))
        var places: [Int] = []
        var start = 0
        while let place = find(mark, in: bytes, from: start) {
            places.append(place)
            start = place + mark.count
        }
        if limit >= 0 { places = Array(fromBack ? places.suffix(limit) : places.prefix(limit)) }
        var (parts, begin) = ([String](), 0)
        for place in places {
            parts.append(String(decoding: bytes[begin..<place], as: UTF8.self))
            begin = place + mark.count
        }
        return parts + [String(decoding: bytes[begin...], as: UTF8.self)]
    }

    /// Splits at white space.
    static func words(_ text: String, limit: Int) -> [String] {
        let scalars = Array(text.unicodeScalars)
        var (parts, place) = ([String](), 0)
        while place < scalars.count {
            while place < scalars.count, isSpace(scalars[place]) { place += 1 }
            guard place < scalars.count else { break }
            if limit >= 0, parts.count == limit {
                parts.append(strip(string(scalars[place...]), nil, start: false, end: true))
                break
            }
            let start = place
            while place < scalars.count, !isSpace(scalars[place]) { place += 1 }
            parts.append(string(scalars[start..<place]))
        }
        return parts
    }

    static func lines(_ text: String) -> [String] {
        let scalars = Array(text.unicodeScalars)
        var (lines, start, place) = ([String](), 0, 0)
        while place < scalars.count {
            let isEnd =
                switch scalars[place].value {
                case 0x0A...0x0D, 0x1C...0x1E, 0x85, 0x2028, 0x2029: true
                default: false
                }
            if isEnd {
                lines.append(string(scalars[start..<place]))
                if scalars[place] == "\r", place + 1 < scalars.count, scalars[place + 1] == "\n" {
                    place += 1
                }
                start = place + 1
            }
            place += 1
        }
        if start < scalars.count { lines.append(string(scalars[start...])) }
        return lines
    }

    static func string(_ scalars: some Sequence<Unicode.Scalar>) -> String {
        var text = ""
        text.unicodeScalars.append(contentsOf: scalars)
        return text
    }

    static func isSpace(_ scalar: Unicode.Scalar) -> Bool {
        (0x1C...0x1F).contains(scalar.value) || scalar.properties.isWhitespace
    }

    static func strip(_ text: String, _ characters: String?, start: Bool = true, end: Bool = true) -> String {
        var scalars = Array(text.unicodeScalars)[...]
        let set = characters.map { Set($0.unicodeScalars) }
        func goes(_ scalar: Unicode.Scalar) -> Bool { set?.contains(scalar) ?? isSpace(scalar) }
        while start, let first = scalars.first, goes(first) { scalars.removeFirst() }
        while end, let last = scalars.last, goes(last) { scalars.removeLast() }
        return string(scalars)
    }

    static func capitalized(_ text: String) -> String {
        let scalars = text.unicodeScalars
        guard let first = scalars.first else { return "" }
        return first.properties.titlecaseMapping + string(scalars.dropFirst()).lowercased()
    }

    /// Every word with a capital; words are runs of letters.
    static func titled(_ text: String) -> String {
        var (result, isInside) = ("", false)
        for scalar in text.unicodeScalars {
            let isLetter = scalar.properties.isCased
            result +=
                isLetter
                ? (isInside ? scalar.properties.lowercaseMapping : scalar.properties.titlecaseMapping)
                : String(scalar)
            isInside = isLetter
        }
        return result
    }
}
