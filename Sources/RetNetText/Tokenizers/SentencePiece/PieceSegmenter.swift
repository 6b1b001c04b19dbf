/// An algorithm that cuts normalized text into pieces.
protocol PieceSegmenter: Sendable {
    /// Passes all pieces of a non-empty text to a collector, in order.
    func segment(_ text: UnsafeBufferPointer<UInt8>, into collector: inout PieceCollector)
}

/// A character segmenter: each character and each user-defined symbol is a piece.
struct CharacterSegmenter: PieceSegmenter {
    let table: PieceTable

    func segment(_ text: UnsafeBufferPointer<UInt8>, into collector: inout PieceCollector) {
        table.trie.withWalker { trie in
            var index = 0
            while index < text.count {
                var length = table.symbols?.withWalker { $0.longestMatch(text, at: index) } ?? 0
                if length == 0 { length = min(UTF8Character.leadLength(text[index]), text.count - index) }
                let range = index..<index + length
                collector.append(table.piece(of: text, range, trie), text, range)
                index += length
            }
        }
    }
}

/// A word segmenter: the text from each visible space up to the next is a piece.
struct WordSegmenter: PieceSegmenter {
    let table: PieceTable

    func segment(_ text: UnsafeBufferPointer<UInt8>, into collector: inout PieceCollector) {
        table.trie.withWalker { trie in
            var start = 0
            while start < text.count {
                var end = start + 1
                while end < text.count, !Self.isSpace(text, at: end) { end += 1 }
                collector.append(table.piece(of: text, start..<end, trie), text, start..<end)
                start = end
            }
        }
    }

    /// Returns true if a visible space begins at an index.
    @inline(__always) static func isSpace(_ text: UnsafeBufferPointer<UInt8>, at index: Int) -> Bool {
        text[index] == 0xE2 && index + 2 < text.count && text[index + 1] == 0x96 && text[index + 2] == 0x81
    }
}

/// A collector of pieces in the order of the text that joins unknown pieces or spells them in bytes.
struct PieceCollector {
    private(set) var tokens: [Int32] = []
    /// The bytes of the source of each token.
    private(set) var byteCounts: [Int] = []
    private var alignment: TextAlignment
    private let unknown: Int32
    private let byteTokens: [Int32]?
    private var followsUnknown = false

    init(_ table: PieceTable, capacity: Int, alignment: TextAlignment) {
        self.alignment = alignment
        unknown = table.unknown
        byteTokens = table.byteTokens
        tokens.reserveCapacity(capacity)
        byteCounts.reserveCapacity(capacity)
    }

    /// Appends the next piece, whose bytes are a range of the text.
    mutating func append(_ piece: Int32, _ text: UnsafeBufferPointer<UInt8>, _ range: Range<Int>) {
        guard piece == unknown else {
            tokens.append(piece)
            byteCounts.append(alignment.pass(range.count))
            followsUnknown = false
            return
        }
        if let byteTokens {
            for index in range {
                tokens.append(byteTokens[Int(text[index])])
                byteCounts.append(alignment.pass(1))
            }
        } else if followsUnknown {
            byteCounts[byteCounts.count - 1] += alignment.pass(range.count)
        } else {
            tokens.append(unknown)
            byteCounts.append(alignment.pass(range.count))
        }
        followsUnknown = true
    }

    /// Gives the last token the rest of the source and returns all of them.
    mutating func finish() -> EncodedText {
        if !byteCounts.isEmpty { byteCounts[byteCounts.count - 1] += alignment.passRest() }
        return EncodedText(tokens: tokens, byteCounts: byteCounts)
    }
}
