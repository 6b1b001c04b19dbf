/// A unigram segmenter: maximizes the sum of the scores of the pieces (Kudo, arXiv 1804.10959).
///
/// One pass from left to right keeps the best path to every position, exactly as SentencePiece 0.2.3 does
/// (`unigram_model.cc`, `EncodeOptimized`): scores are added and compared in float32, of equal sums the one found first
/// stays, which has the earlier start, and sums beyond 100,000 restart from 0. Releases up to 0.2.1 added them in
/// float64 and gave user-defined symbols more than their score, so that some texts have other pieces there.
struct UnigramSegmenter: PieceSegmenter {
    private let table: PieceTable
    /// The bytes from which on a window ends where it can, and those after which it ends in any case; they bound the
    /// memory.
    private let (windowByteCount, largestWindowByteCount): (Int, Int)
    /// The score of an unknown character: ten below that of the least probable piece.
    private let unknownScore: Float
    /// The size of a sum from which on the sums restart from 0.
    private static let largestSum: Float = 100_000

    init(_ table: PieceTable, windowByteCount: Int = 1 << 16, largestWindowByteCount: Int = 1 << 20) {
        self.table = table
        self.windowByteCount = windowByteCount
        self.largestWindowByteCount = largestWindowByteCount
        var least = Float.greatestFiniteMagnitude
        for (score, kind) in zip(table.scores, table.kinds) where kind == .normal {
            least = min(least, score)
        }
        unknownScore = least - 10
    }

    /// The last piece of the best path to a position.
    private struct Step {
        var score: Float = 0
        var start: Int32 = -1
        var piece: Int32 = -1
    }

    func segment(_ text: UnsafeBufferPointer<UInt8>, into collector: inout PieceCollector) {
        let capacity = min(text.count, largestWindowByteCount + table.longestPieceByteCount + 4) + 1
        var steps = [Step](repeating: Step(), count: capacity)
        steps.withUnsafeMutableBufferPointer { steps in
            table.trie.withWalker { trie in
                table.scores.withUnsafeBufferPointer { scores in
                    table.kinds.withUnsafeBufferPointer { kinds in
                        var origin = 0
                        while origin < text.count {
                            let rest = UnsafeBufferPointer(rebasing: text[origin...])
                            let (end, reach) = search(rest, steps, trie, scores, kinds)
                            Self.collect(steps, to: end, text, from: origin, into: &collector)
                            // The next window goes on with the sum, whose digits decide how later sums are rounded.
                            let sum = steps[end].score
                            for index in 0...max(end, reach) { steps[index] = Step() }
                            steps[0].score = sum
                            origin += end
                        }
                    }
                }
            }
        }
    }

    /// Passes on the pieces of the best path to a position in a window.
    private static func collect(
        _ steps: UnsafeMutableBufferPointer<Step>, to end: Int, _ text: UnsafeBufferPointer<UInt8>,
        from origin: Int, into collector: inout PieceCollector
    ) {
        // The links lead backward; reversed, they lead from piece to piece.
        var (end, next) = (end, -1)
        while end > 0 {
            let start = Int(steps[end].start)
            steps[end].start = Int32(truncatingIfNeeded: next)
            (next, end) = (end, start)
        }
        var start = 0
        while next > 0 {
            collector.append(steps[next].piece, text, origin + start..<origin + next)
            start = next
            next = Int(steps[next].start)
        }
    }

    /// Finds the best path to every position of a window; returns its end and that of the longest piece in it.
    ///
    /// A window ends where no piece crosses, so all paths meet there. Without such a place, which takes a text like one
    /// letter repeated, it ends after the largest size, and the best path to that place is taken.
    private func search(
        _ text: UnsafeBufferPointer<UInt8>, _ steps: UnsafeMutableBufferPointer<Step>,
        _ trie: PieceTrie.Walker, _ scores: UnsafeBufferPointer<Float>,
        _ kinds: UnsafeBufferPointer<SentencePieceModel.Kind>
    ) -> (end: Int, reach: Int) {
        var start = 0
        var reach = 0
        while start < text.count {
            if start >= windowByteCount, reach <= start || start >= largestWindowByteCount { break }
            let sum = steps[start].score
            if sum < -Self.largestSum || sum > Self.largestSum {
                // Only differences between paths matter.
                for end in start...max(start, reach) where end == start || steps[end].start >= 0 {
                    steps[end].score -= sum
                }
            }
            let before = steps[start].score
            let characterLength = min(UTF8Character.leadLength(text[start]), text.count - start)
            var hasCharacter = false
            var end = start
            var node = 0
            while end < text.count {
                node = trie.child(of: node, text[end])
                if node == 0 { break }
                end += 1
                let piece = trie.value(of: node)
                guard piece >= 0 else { continue }
                let kind = kinds[Int(piece)]
                if kind == .unused { continue }
                let score = kind == .userDefined ? Self.symbolScore(end - start) : scores[Int(piece)]
                offer(score + before, piece, from: start, to: end, steps)
                reach = max(reach, end)
                if end - start == characterLength { hasCharacter = true }
            }
            if !hasCharacter {
                offer(
                    unknownScore + before, table.unknown, from: start, to: start + characterLength, steps)
                reach = max(reach, start + characterLength)
            }
            start += characterLength
        }
        return (start, reach)
    }

    /// Returns the score of a user-defined symbol, above that of all its divisions; its own score does not count.
    @inline(__always) private static func symbolScore(_ byteCount: Int) -> Float {
        Float(0.1 * Double(byteCount - 1))
    }

    @inline(__always) private func offer(
        _ score: Float, _ piece: Int32, from start: Int, to end: Int,
        _ steps: UnsafeMutableBufferPointer<Step>
    ) {
        guard steps[end].start < 0 || score > steps[end].score else { return }
        steps[end] = Step(score: score, start: Int32(truncatingIfNeeded: start), piece: piece)
    }
}
