/// A unigram segmenter: maximizes the sum of the scores of the pieces (Kudo, arXiv 1804.10959).
///
/// One pass from left to right keeps the best path to every position, exactly as SentencePiece 0.2.3 does
/// (`unigram_model.cc`, `EncodeOptimized`): scores are added and compared in float32, of equal sums the one found first
/// stays, which has the earlier start, and sums beyond 100,000 restart from 0. Releases up to 0.2.1 added them in
/// float64 and gave user-defined symbols more than their score, so that some texts have other pieces there.
struct UnigramSegmenter: PieceSegmenter {
    private let table: PieceTable
    /// The score of an unknown character: ten below that of the least probable piece.
    private let unknownScore: Float
    /// The size of a sum from which on the sums restart from 0.
    private static let largestSum: Float = 100_000

    init(_ table: PieceTable) {
        self.table = table
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
        // Positions have 32 bits; texts of more than 2 GiB are cut.
        var rest = text
        while rest.count > Int(Int32.max) {
            segmentPart(UnsafeBufferPointer(rebasing: rest[..<Int(Int32.max)]), into: &collector)
            rest = UnsafeBufferPointer(rebasing: rest[Int(Int32.max)...])
        }
        segmentPart(rest, into: &collector)
    }

    private func segmentPart(_ text: UnsafeBufferPointer<UInt8>, into collector: inout PieceCollector) {
        var steps = [Step](repeating: Step(), count: text.count + 1)
        steps.withUnsafeMutableBufferPointer { steps in
            table.trie.withWalker { trie in
                table.scores.withUnsafeBufferPointer { scores in
                    table.kinds.withUnsafeBufferPointer { kinds in
                        search(text, steps, trie, scores, kinds)
                    }
                }
            }
            // The links lead backward; reversed, they lead from piece to piece.
            var end = text.count
            var next = -1
            while end > 0 {
                let start = Int(steps[end].start)
                steps[end].start = Int32(truncatingIfNeeded: next)
                (next, end) = (end, start)
            }
            var start = 0
            while next > 0 {
                collector.append(steps[next].piece, text, start..<next)
                start = next
                next = Int(steps[next].start)
            }
        }
    }

    private func search(
        _ text: UnsafeBufferPointer<UInt8>, _ steps: UnsafeMutableBufferPointer<Step>,
        _ trie: PieceTrie.Walker, _ scores: UnsafeBufferPointer<Float>,
        _ kinds: UnsafeBufferPointer<SentencePieceModel.Kind>
    ) {
        var start = 0
        var reach = 0
        while start < text.count {
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
