/// A scanner of words by hand for the regular expressions that most tokenizers use.
///
/// Each is compared with ``TextExpression``, which runs the same expression in general, in the tests; by hand it takes a
/// tenth of the time.
enum WordScanner: Sendable, Hashable {
    /// GPT-2, GPT-NeoX and others: runs of letters, numbers and other characters with a space in front.
    case gpt2
    /// GPT-4, Llama 3, Qwen and others: the letters with any one character in front, numbers of a few digits.
    case gpt4(numberCount: Int, joinsMarks: Bool, joinsNewlines: Bool)
    /// GPT-4o and others: as those, cut at changes from lower to upper case.
    case gpt4o(numberCount: Int)

    private static let contractions = "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
    private static let ending = #"\s*[\r\n]+|\s+(?!\S)|\s+"#

    /// The expression of GPT-2, which the byte-level pre-tokenizer uses.
    static let gpt2Expression =
        #"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"#

    /// The known expressions, as they are written in files.
    static let known: [String: WordScanner] = {
        var known: [String: WordScanner] = [
            gpt2Expression: .gpt2,
            #"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"#: .gpt2,
            #"'(?:[sdmt]|ll|ve|re)| ?\p{L}++| ?\p{N}++| ?[^\s\p{L}\p{N}]++|\s++$|\s+(?!\S)|\s"#: .gpt2,
        ]
        let others = #" ?[^\s\p{L}\p{N}]+[\r\n]*|"#
        for (count, digits) in [(1, #"\p{N}"#), (3, #"\p{N}{1,3}"#), (Int.max, #"\p{N}+"#)] {
            known[contractions + #"|[^\r\n\p{L}\p{N}]?\p{L}+|"# + digits + "|" + others + ending] =
                .gpt4(numberCount: count, joinsMarks: false, joinsNewlines: true)
            known[
                contractions + #"|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|"# + digits
                    + #"| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|"# + ending] =
                .gpt4(numberCount: count, joinsMarks: true, joinsNewlines: true)
            let upper = #"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]"#
            let lower = #"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"#
            known[
                upper + "*" + lower + "+" + contractions + "?|" + upper + "+" + lower + "*" + contractions
                    + "?|"
                    + digits + #"| ?[^\s\p{L}\p{N}]+[\r\n/]*|"# + ending] = .gpt4o(numberCount: count)
        }
        known[
            #"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]++[\r\n]*|"#
                + #"\s*[\r\n]|\s+(?!\S)|\s+"#] =
            .gpt4(numberCount: 3, joinsMarks: false, joinsNewlines: true)
        return known
    }()

    private static let letters = ScalarTable.mask("L")
    private static let marks = ScalarTable.mask("M")
    private static let numbers = ScalarTable.mask("N")
    private static let upperCase = ScalarTable.mask("Lu") | ScalarTable.mask("Lt")
    private static let lowerCase = ScalarTable.mask("Ll")
    private static let caseless = ScalarTable.mask("Lm") | ScalarTable.mask("Lo") | ScalarTable.mask("M")

    /// Calls `body` with the bounds of each word of a part of a text; the words cover all of it.
    @inline(__always)
    func forEachWord(
        _ text: UnsafeBufferPointer<UInt8>, _ range: Range<Int>, _ body: (_ start: Int, _ end: Int) -> Void
    ) {
        let part = UnsafeBufferPointer(rebasing: text[range])
        ScalarTable.withTable { table in
            let reader = Reader(text: part, table: table)
            var start = 0
            while start < part.count {
                let end = end(reader, from: start)
                body(range.lowerBound &+ start, range.lowerBound &+ end)
                start = end
            }
        }
    }

    private func end(_ reader: Reader, from start: Int) -> Int {
        switch self {
        case .gpt2: Self.gpt2End(reader, start)
        case .gpt4(let numberCount, let joinsMarks, _): Self.gpt4End(reader, start, numberCount, joinsMarks)
        case .gpt4o(let numberCount): Self.gpt4oEnd(reader, start, numberCount)
        }
    }

    /// A text with the classes of its characters.
    private struct Reader {
        let text: UnsafeBufferPointer<UInt8>
        let table: ScalarTable.Reader

        /// The class of a character: a bit of its category, and bit 31 for white space.
        struct Character {
            var classes: UInt32
            var length: Int
            @inline(__always) func isIn(_ mask: UInt32) -> Bool { classes & mask != 0 }
            @inline(__always) var isSpace: Bool { classes & 1 << 31 != 0 }
            /// True at the end of the text.
            @inline(__always) var isEnd: Bool { length == 0 }
            /// True for what is neither space nor in a mask.
            @inline(__always) func isOther(than mask: UInt32) -> Bool {
                classes & (mask | 1 << 31) == 0 && length > 0
            }
        }

        @inline(__always) func character(_ index: Int) -> Character {
            guard index < text.count else { return Character(classes: 0, length: 0) }
            let (value, length) = UTF8Reader.scalar(text, index)
            let facts = table.facts(value)
            return Character(
                classes: 1 << UInt32(facts & ScalarTable.categoryBits)
                    | UInt32(facts & ScalarTable.whitespaceBit) << (31 - 5),
                length: length)
        }

        /// Returns the end of a run of characters of a mask.
        @inline(__always) func end(of mask: UInt32, _ start: Int) -> Int {
            var end = start
            while true {
                let next = character(end)
                guard next.isIn(mask) else { return end }
                end &+= next.length
            }
        }

        /// Returns the end of a run of characters that are neither white space nor in a mask.
        @inline(__always) func end(otherThan mask: UInt32, _ start: Int) -> Int {
            var end = start
            while true {
                let next = character(end)
                guard next.isOther(than: mask) else { return end }
                end &+= next.length
            }
        }

        @inline(__always) func byte(_ index: Int) -> UInt8 { index < text.count ? text[index] : 0 }

        /// Returns the end of `\s+(?!\S)|\s+` at a white space.
        func spaceEnd(_ start: Int) -> Int {
            let end = end(of: 1 << 31, start)
            guard end < text.count else { return end }
            let last = UTF8Reader.characterStart(text, before: end)
            return last > start ? last : end
        }

        /// Returns the end of `\s*[\r\n]+|\s+(?!\S)|\s+` at a white space.
        func lineOrSpaceEnd(_ start: Int) -> Int {
            let end = end(of: 1 << 31, start)
            var index = end
            while index > start {
                if text[index &- 1] == 0x0A || text[index &- 1] == 0x0D { return index }
                index &-= 1
            }
            guard end < text.count else { return end }
            let last = UTF8Reader.characterStart(text, before: end)
            return last > start ? last : end
        }

        /// Returns the end of a run of line ends, and of slashes too if asked for.
        @inline(__always) func lineEnd(_ start: Int, slashes: Bool = false) -> Int {
            var end = start
            while end < text.count, text[end] == 0x0A || text[end] == 0x0D || (slashes && text[end] == 0x2F) {
                end &+= 1
            }
            return end
        }

        /// Returns the end of an English contraction at an apostrophe, or -1.
        func contractionEnd(_ start: Int, ignoresCase: Bool) -> Int {
            guard byte(start) == UInt8(ascii: "'") else { return -1 }
            let bit: UInt8 = ignoresCase ? 0x20 : 0
            let first = byte(start &+ 1) | (byte(start &+ 1) < 0x80 ? bit : 0)
            switch first {
            case UInt8(ascii: "s"), UInt8(ascii: "t"), UInt8(ascii: "m"), UInt8(ascii: "d"):
                // The bit also turns some signs into others, none of them into these letters.
                return start &+ 2
            case UInt8(ascii: "r"), UInt8(ascii: "v"):
                return byte(start &+ 2) | bit == UInt8(ascii: "e") ? start &+ 3 : -1
            case UInt8(ascii: "l"):
                return byte(start &+ 2) | bit == UInt8(ascii: "l") ? start &+ 3 : -1
            case 0xC5 where ignoresCase && byte(start &+ 2) == 0xBF:
                // U+017F, the long s, is an s in another case.
                return start &+ 3
            default: return -1
            }
        }

        /// Returns the end of up to a number of characters of a mask.
        func end(of mask: UInt32, _ start: Int, atMost count: Int) -> Int {
            var (end, count) = (start, count)
            while count > 0 {
                let next = character(end)
                guard next.isIn(mask) else { return end }
                end &+= next.length
                count &-= 1
            }
            return end
        }
    }

    private static func gpt2End(_ reader: Reader, _ start: Int) -> Int {
        let first = reader.byte(start)
        if first == UInt8(ascii: "'") {
            let end = reader.contractionEnd(start, ignoresCase: false)
            if end > 0 { return end }
        }
        let begin = first == 0x20 ? start &+ 1 : start
        let next = reader.character(begin)
        if next.isIn(letters) { return reader.end(of: letters, begin &+ next.length) }
        if next.isIn(numbers) { return reader.end(of: numbers, begin &+ next.length) }
        if next.isOther(than: letters | numbers) {
            return reader.end(otherThan: letters | numbers, begin &+ next.length)
        }
        return reader.spaceEnd(start)
    }

    private static func gpt4End(_ reader: Reader, _ start: Int, _ numberCount: Int, _ joinsMarks: Bool) -> Int
    {
        let first = reader.byte(start)
        if first == UInt8(ascii: "'") {
            let end = reader.contractionEnd(start, ignoresCase: true)
            if end > 0 { return end }
        }
        let words = joinsMarks ? letters | marks : letters
        let next = reader.character(start)
        if next.isIn(letters) { return reader.end(of: words, start &+ next.length) }
        if next.isIn(numbers) { return reader.end(of: numbers, start, atMost: numberCount) }
        if first != 0x0A, first != 0x0D {
            let second = reader.character(start &+ next.length)
            if second.isIn(words) { return reader.end(of: words, start &+ next.length &+ second.length) }
            // A mark without letters: the optional character before it is left out.
            if next.isIn(words) { return start &+ next.length }
        }
        let begin = first == 0x20 ? start &+ 1 : start
        let mask = words | numbers
        let other = first == 0x20 ? reader.character(begin) : next
        if other.isOther(than: mask) {
            return reader.lineEnd(reader.end(otherThan: mask, begin &+ other.length))
        }
        return reader.lineOrSpaceEnd(start)
    }

    private static func gpt4oEnd(_ reader: Reader, _ start: Int, _ numberCount: Int) -> Int {
        let first = reader.byte(start)
        let next = reader.character(start)
        let takesPrefix = first != 0x0A && first != 0x0D && !next.isIn(letters | numbers)
        let behind = start &+ next.length
        var end = -1
        if takesPrefix { end = cased(reader, behind) }
        if end < 0 { end = cased(reader, start) }
        if end < 0, takesPrefix {
            let upper = reader.end(of: upperCase | caseless, behind)
            if upper > behind { end = reader.end(of: lowerCase | caseless, upper) }
        }
        if end < 0 {
            let upper = reader.end(of: upperCase | caseless, start)
            if upper > start { end = reader.end(of: lowerCase | caseless, upper) }
        }
        if end >= 0 {
            let contraction = reader.contractionEnd(end, ignoresCase: true)
            return contraction > 0 ? contraction : end
        }
        if next.isIn(numbers) { return reader.end(of: numbers, start, atMost: numberCount) }
        let begin = first == 0x20 ? start &+ 1 : start
        let other = first == 0x20 ? reader.character(begin) : next
        if other.isOther(than: letters | numbers) {
            return reader.lineEnd(
                reader.end(otherThan: letters | numbers, begin &+ other.length), slashes: true)
        }
        return reader.lineOrSpaceEnd(start)
    }

    /// Returns the end of letters of upper case and at least one of lower case, or -1.
    private static func cased(_ reader: Reader, _ start: Int) -> Int {
        var (end, lastCaseless) = (start, -1)
        while true {
            let next = reader.character(end)
            if next.isIn(caseless) {
                lastCaseless = end &+ next.length
            } else if !next.isIn(upperCase) {
                break
            }
            end &+= next.length
        }
        let lower = reader.end(of: lowerCase | caseless, end)
        // Without one behind them, the last of the letters without case is the one of lower case.
        return lower > end ? lower : lastCaseless
    }
}
