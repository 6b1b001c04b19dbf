/// Cuts normalized text into pieces.
protocol PieceSegmenter: Sendable {
    /// Hands all pieces of a text that is not empty to a collector, in order.
    func segment(_ text: UnsafeBufferPointer<UInt8>, into collector: inout PieceCollector)
}

/// Every character, and every user-defined symbol, is a piece.
struct CharacterSegmenter: PieceSegmenter {
    let table: PieceTable

    func segment(_ text: UnsafeBufferPointer<UInt8>, into collector: inout PieceCollector) {
        table.trie.withWalker { trie in
            var index = 0
            while index < text.count {
                var length = table.symbols?.withWalker { $0.longestMatch(text, at: index) } ?? 0
                if length == 0 { length = min(UTF8Character.leadLength(text[index]), text.count - index) }
                let range = index..<index + length
                let piece = trie.value(of: text, range)
                collector.append(piece < 0 ? table.unknown : piece, text, range)
                index += length
            }
        }
    }
}

/// Everything from one visible space up to the next is a piece.
struct WordSegmenter: PieceSegmenter {
    let table: PieceTable

    func segment(_ text: UnsafeBufferPointer<UInt8>, into collector: inout PieceCollector) {
        table.trie.withWalker { trie in
            var start = 0
            while start < text.count {
                var end = start + 1
                while end < text.count, !Self.isSpace(text, at: end) { end += 1 }
                let piece = trie.value(of: text, start..<end)
                collector.append(piece < 0 ? table.unknown : piece, text, start..<end)
                start = end
            }
        }
    }

    /// Whether a visible space begins at an index.
    @inline(__always) static func isSpace(_ text: UnsafeBufferPointer<UInt8>, at index: Int) -> Bool {
        text[index] == 0xE2 && index + 2 < text.count && text[index + 1] == 0x96 && text[index + 2] == 0x81
    }
}
