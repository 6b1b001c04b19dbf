/// A byte-pair segmenter: merges neighbors, best score first, leftmost first among equal scores.
///
/// Source: SentencePiece 0.2.3, `bpe_model.cc`.
struct BytePairSegmenter: PieceSegmenter {
    let table: PieceTable
    /// The largest part of a text that is merged at once, which bounds the memory.
    var maximumPartByteCount = 1 << 20

    /// A part of the text that grows by merges; empty once merged into its left neighbor.
    private struct Symbol {
        var start: Int
        var end: Int
        var previous: Int
        var next: Int
        var isFrozen: Bool
    }

    /// Two neighbors whose concatenation is a piece.
    private struct Pair: Comparable {
        /// The score as a whole number in the same order, in which -0 is below 0.
        let rank: Int32
        let left: Int
        let right: Int
        let byteCount: Int

        init(score: Float, left: Int, right: Int, byteCount: Int) {
            let bits = Int32(bitPattern: score.bitPattern)
            rank = bits < 0 ? bits ^ Int32.max : bits
            self.left = left
            self.right = right
            self.byteCount = byteCount
        }

        /// The best score comes first, of equal ones the leftmost pair.
        @inline(__always) static func < (pair: Pair, other: Pair) -> Bool {
            pair.rank > other.rank || (pair.rank == other.rank && pair.left < other.left)
        }
    }

    /// The buffers of one call, reused for each part of the text.
    private struct Workspace {
        var symbols: [Symbol] = []
        var heap = PriorityHeap<Pair>()
        /// For each unused piece, the length of its left part.
        var leftLengths: [Int32: Int] = [:]
        /// Parts of an unused piece not yet passed on, and the divisions that led to each.
        var stack: [(range: Range<Int>, depth: Int)] = []
    }

    func segment(_ text: UnsafeBufferPointer<UInt8>, into collector: inout PieceCollector) {
        var workspace = Workspace()
        table.trie.withWalker { trie in
            // Parts whose boundaries no piece crosses merge independently, and small heaps are fast.
            var start = 0
            while start < text.count {
                var end = table.splitsBeforeSpaces && !table.hasUnused ? wordEnd(text, start) : text.count
                if end - start > maximumPartByteCount { end = boundary(text, start, trie) }
                merge(text, start..<end, trie, &workspace, &collector)
                start = end
            }
        }
    }

    /// Returns the end of a run of visible spaces with what follows it up to the next.
    private func wordEnd(_ text: UnsafeBufferPointer<UInt8>, _ start: Int) -> Int {
        var end = start
        while end < text.count, WordSegmenter.isSpace(text, at: end) { end += 3 }
        end = max(end, start + 1)
        while end < text.count, !WordSegmenter.isSpace(text, at: end) { end += 1 }
        return end
    }

    /// Returns the end of a part of at most the largest size: the last place that no piece in the text crosses.
    ///
    /// Without such a place, which takes a text like one letter repeated, the part ends after the largest size.
    private func boundary(_ text: UnsafeBufferPointer<UInt8>, _ start: Int, _ trie: PieceTrie.Walker) -> Int {
        let limit = min(text.count, start + maximumPartByteCount)
        var (position, reach, last, end) = (start, start, start, start)
        while position < limit {
            end = position
            if position > start, reach <= position { last = position }
            let length = max(
                trie.longestMatch(text, at: position), UTF8Character.leadLength(text[position]))
            reach = max(reach, position + length)
            position += UTF8Character.leadLength(text[position])
        }
        // The last character lies within the limit or is a part of its own.
        return last > start ? last : max(end, min(start + UTF8Character.leadLength(text[start]), text.count))
    }

    private func merge(
        _ text: UnsafeBufferPointer<UInt8>, _ range: Range<Int>, _ trie: PieceTrie.Walker,
        _ workspace: inout Workspace, _ collector: inout PieceCollector
    ) {
        split(text, range, &workspace)
        for right in workspace.symbols.indices.dropFirst() { offer(right - 1, right, text, trie, &workspace) }
        while let pair = workspace.heap.popFirst() {
            let (left, right) = (workspace.symbols[pair.left], workspace.symbols[pair.right])
            // Either part may have been merged with another in the meantime.
            guard left.end > left.start, right.end > right.start,
                right.end - left.start == pair.byteCount
            else { continue }
            workspace.symbols[pair.left].end = right.end
            workspace.symbols[pair.left].next = right.next
            if right.next >= 0 { workspace.symbols[right.next].previous = pair.left }
            workspace.symbols[pair.right].end = right.start
            offer(left.previous, pair.left, text, trie, &workspace)
            offer(pair.left, right.next, text, trie, &workspace)
        }
        var index = workspace.symbols.isEmpty ? -1 : 0
        while index >= 0 {
            let symbol = workspace.symbols[index]
            emit(symbol.start..<symbol.end, text, trie, &workspace, &collector)
            index = symbol.next
        }
    }

    /// Fills the workspace with the characters and user-defined symbols of a part.
    private func split(_ text: UnsafeBufferPointer<UInt8>, _ range: Range<Int>, _ workspace: inout Workspace)
    {
        workspace.symbols.removeAll(keepingCapacity: true)
        var start = range.lowerBound
        while start < range.upperBound {
            let symbolLength = table.symbols?.withWalker { $0.longestMatch(text, at: start) } ?? 0
            let length =
                symbolLength > 0 ? symbolLength : UTF8Character.leadLength(text[start])
            let end = min(start + length, range.upperBound)
            let count = workspace.symbols.count
            workspace.symbols.append(
                Symbol(
                    start: start, end: end, previous: count - 1,
                    next: end < range.upperBound ? count + 1 : -1, isFrozen: symbolLength > 0))
            start = end
        }
    }

    private func offer(
        _ left: Int, _ right: Int, _ text: UnsafeBufferPointer<UInt8>, _ trie: PieceTrie.Walker,
        _ workspace: inout Workspace
    ) {
        guard left >= 0, right >= 0 else { return }
        let (first, second) = (workspace.symbols[left], workspace.symbols[right])
        guard !first.isFrozen, !second.isFrozen else { return }
        let piece = trie.value(of: text, first.start..<second.end)
        guard piece >= 0 else { return }
        workspace.heap.insert(
            Pair(
                score: table.scores[Int(piece)], left: left, right: right,
                byteCount: second.end - first.start))
        if table.kinds[Int(piece)] == .unused {
            workspace.leftLengths[piece] = first.end - first.start
        }
    }

    /// Passes on a symbol or, of an unused piece, the parts that were merged into it.
    ///
    /// After a hundred divisions an unused piece is passed on whole, as in the reference; one that no merge made is unknown.
    private func emit(
        _ range: Range<Int>, _ text: UnsafeBufferPointer<UInt8>, _ trie: PieceTrie.Walker,
        _ workspace: inout Workspace, _ collector: inout PieceCollector
    ) {
        workspace.stack.append((range, 0))
        while let (range, depth) = workspace.stack.popLast() {
            let piece = trie.value(of: text, range)
            if piece < 0 || table.kinds[Int(piece)] != .unused || depth > 100 {
                collector.append(piece < 0 ? table.unknown : piece, text, range)
            } else if let length = workspace.leftLengths[piece] {
                workspace.stack.append((range.lowerBound + length..<range.upperBound, depth + 1))
                workspace.stack.append((range.lowerBound..<range.lowerBound + length, depth + 1))
            } else {
                collector.append(table.unknown, text, range)
            }
        }
    }
}
