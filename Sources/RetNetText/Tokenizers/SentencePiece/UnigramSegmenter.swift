/// A unigram segmenter: maximizes the sum of the scores of the pieces (Kudo, arXiv 1804.10959).
///
/// One pass from left to right keeps the best path to every position. Scores are added and compared as in SentencePiece
/// 0.1.97 and later, in float32 and with preference for the earlier start, so that the results are equal. In texts of
/// tens of thousands of bytes, sums would lose the digits that distinguish paths; there they restart from 0.
struct UnigramSegmenter: PieceSegmenter {
    private let table: PieceTable
    /// The sum below which float32 has fewer than eight binary digits after the point.
    private static let lowestSum: Float = -50_000
    private let leastScore: Float
    private let largestScore: Float

    init(_ table: PieceTable) {
        self.table = table
        var (least, largest) = (Float.greatestFiniteMagnitude, Float.leastNormalMagnitude)
        for (score, kind) in zip(table.scores, table.kinds) where kind == .normal {
            least = min(least, score)
            largest = max(largest, score)
        }
        leastScore = least
        largestScore = largest
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
        let unknownScore = leastScore - 10
        var start = 0
        var reach = 0
        while start < text.count {
            if steps[start].score < Self.lowestSum {
                // Only differences between paths matter.
                let sum = steps[start].score
                for end in start...max(start, reach) { steps[end].score -= sum }
            }
            let characterLength = min(UTF8Character.leadLength(text[start]), text.count - start)
            let before = steps[start].score
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
                // In float64 as in the reference: a user-defined symbol outweighs its parts.
                let score =
                    kind == .userDefined
                    ? Double(Float(end - start) * largestScore) - 0.1 : Double(scores[Int(piece)])
                offer(score + Double(before), piece, from: start, to: end, steps)
                reach = max(reach, end)
                if end - start == characterLength { hasCharacter = true }
            }
            if !hasCharacter {
                offer(
                    Double(unknownScore + before), table.unknown, from: start, to: start + characterLength,
                    steps)
            }
            start += characterLength
        }
    }

    @inline(__always) private func offer(
        _ score: Double, _ piece: Int32, from start: Int, to end: Int,
        _ steps: UnsafeMutableBufferPointer<Step>
    ) {
        guard steps[end].start < 0 || score > Double(steps[end].score) else { return }
        steps[end] = Step(
            score: Float(score), start: Int32(truncatingIfNeeded: start), piece: piece)
    }
}
