/// The tokens that are found in text before the model sees it.
struct AddedTokens: Sendable {
    /// A token with the rules by which it is found.
    struct Token: Sendable {
        var number: Int32
        var content: [UInt8]
        /// Found only between characters that are no part of words.
        var isSingleWord = false
        /// Takes the white space before it, or behind it.
        var takesSpaceBefore = false
        var takesSpaceBehind = false
        /// Found in normalized text, by its own normalized form.
        var isNormalized = false
        /// Left out when decoding, and in plain text no token.
        var isSpecial = false
    }

    let tokens: [Token]
    /// The token by number.
    private let places: [Int32: Int]
    /// The tokens found in text as it is, and those found in normalized text.
    let plain: Finder
    let normalized: Finder

    /// Creates the tokens; `normalize` returns the form of a token in normalized text.
    init(_ tokens: [Token], normalize: ([UInt8]) -> [UInt8]) {
        self.tokens = tokens
        places = Dictionary(
            tokens.enumerated().map { ($1.number, $0) }, uniquingKeysWith: { first, _ in first })
        var (plain, normalized) = (Finder(), Finder())
        for (index, token) in tokens.enumerated() {
            if token.isNormalized {
                normalized.insert(normalize(token.content), token: index)
            } else {
                plain.insert(token.content, token: index)
            }
        }
        (self.plain, self.normalized) = (plain, normalized)
    }

    /// Returns the token of a number.
    func token(_ number: Int32) -> Token? { places[number].map { tokens[$0] } }

    /// A prefix tree of the texts of tokens.
    struct Finder: Sendable {
        private var trie = PieceTrie()
        private var firstBytes = [Bool](repeating: false, count: 256)

        var isEmpty: Bool { trie.isEmpty }

        mutating func insert(_ text: [UInt8], token: Int) {
            guard let first = text.first, trie.insert(text[...], value: Int32(token)) else { return }
            firstBytes[Int(first)] = true
        }

        /// Returns the first of the longest matches at or after an index.
        func first(_ text: UnsafeBufferPointer<UInt8>, from start: Int, to end: Int) -> (
            token: Int, range: Range<Int>
        )? {
            trie.withWalker { trie in
                firstBytes.withUnsafeBufferPointer { firstBytes in
                    var index = start
                    while index < end {
                        guard firstBytes[Int(text[index])] else {
                            index &+= 1
                            continue
                        }
                        var (node, place, token, length) = (0, index, -1, 0)
                        while place < end {
                            node = trie.child(of: node, text[place])
                            if node == 0 { break }
                            place &+= 1
                            let value = trie.value(of: node)
                            if value >= 0 { (token, length) = (Int(value), place &- index) }
                        }
                        if token >= 0 { return (token, index..<index + length) }
                        index &+= 1
                    }
                    return nil
                }
            }
        }
    }

    /// A part of a text: a token, or text between tokens.
    struct Part {
        var token: Int32?
        var range: Range<Int>
    }

    /// Calls `body` with the parts of a part of a text; special tokens are text unless they are recognized.
    @inline(__always)
    func forEachPart(
        _ text: UnsafeBufferPointer<UInt8>, _ range: Range<Int>, _ finder: Finder, recognizesSpecial: Bool,
        _ body: (Part) -> Void
    ) {
        guard !finder.isEmpty else { return body(Part(token: nil, range: range)) }
        var (index, end) = (range.lowerBound, range.lowerBound)
        while let (place, match) = finder.first(text, from: index, to: range.upperBound) {
            index = match.upperBound
            let token = tokens[place]
            if token.isSpecial, !recognizesSpecial { continue }
            if token.isSingleWord, touchesWord(text, match, in: range) { continue }
            var (start, stop) = (match.lowerBound, match.upperBound)
            if token.takesSpaceBefore {
                while start > end {
                    let before = UTF8Reader.characterStart(text, before: start)
                    guard ScalarTable.isWhitespace(UTF8Reader.scalar(text, before).value) else { break }
                    start = max(before, end)
                }
            }
            if token.takesSpaceBehind {
                while stop < range.upperBound {
                    let (value, length) = UTF8Reader.scalar(text, stop)
                    guard ScalarTable.isWhitespace(value) else { break }
                    stop += length
                }
            }
            if end < start { body(Part(token: nil, range: end..<start)) }
            body(Part(token: token.number, range: start..<stop))
            end = stop
        }
        if end < range.upperBound { body(Part(token: nil, range: end..<range.upperBound)) }
    }

    private func touchesWord(
        _ text: UnsafeBufferPointer<UInt8>, _ match: Range<Int>, in range: Range<Int>
    ) -> Bool {
        if match.lowerBound > range.lowerBound {
            let before = UTF8Reader.characterStart(text, before: match.lowerBound)
            if ScalarTable.isWord(UTF8Reader.scalar(text, before).value) { return true }
        }
        return match.upperBound < range.upperBound
            && ScalarTable.isWord(UTF8Reader.scalar(text, match.upperBound).value)
    }
}
