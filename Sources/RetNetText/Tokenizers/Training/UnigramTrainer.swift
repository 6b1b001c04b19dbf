import Foundation

/// The training of a unigram model of pieces (Kudo, arXiv 1804.10959): from many pieces to few.
///
/// Scores are estimated by expectation maximization with a sparse prior, and the pieces without which the words are hardly
/// less probable are dropped, a quarter of all in each round, as in SentencePiece (`unigram_model_trainer.cc`) and in Hugging
/// Face's `tokenizers` (`models/unigram/trainer.rs`). The words are byte-level, and the 256 bytes are always kept. The
/// last round ends at the size that was asked for, and the scores of what is left are estimated once more.
struct UnigramTrainer {
    /// The number of pieces to end with; at least 256.
    let pieceCount: Int

    /// The share of the pieces that a round keeps.
    private static let keptShare = 0.75
    /// Estimates per round.
    private static let estimateCount = 2
    /// The expected number below which a piece is dropped.
    private static let leastExpectedCount = 0.5

    /// Returns the pieces with the logarithms of their probabilities, the most probable first.
    ///
    /// `progress` gets the share of the rounds that are done. There may be fewer pieces than asked for.
    func pieces(of counts: WordCounts, progress: (Double) -> Void = { _ in }) -> [(
        bytes: [UInt8], score: Double
    )] {
        let words = UnigramTrainingWords(counts)
        let seeds = UnigramSeeds(words)
        var training = Training(words, seeds)
        while true {
            for _ in 0..<Self.estimateCount {
                training.estimate(leastExpectedCount: Self.leastExpectedCount, keeping: pieceCount)
            }
            // Each round keeps the same share.
            progress(
                log(Double(seeds.count) / Double(training.count))
                    / log(Double(seeds.count) / Double(min(pieceCount, training.count))))
            guard training.count > pieceCount else { break }
            training.prune(to: max(pieceCount, Int(Double(training.count) * Self.keptShare)))
        }
        let left = training.isKept.indices.filter { training.isKept[$0] }
        let result = left.map { (bytes: Array(seeds.bytes[seeds.range(of: $0)]), score: training.scores[$0]) }
        return result.sorted {
            $0.score != $1.score ? $0.score > $1.score : $0.bytes.lexicographicallyPrecedes($1.bytes)
        }
    }

    private struct Training {
        var scores: [Double]
        var isKept: [Bool]
        private(set) var count: Int
        /// The divisions of the words, and of the pieces themselves.
        private var words: UnigramLattices
        private var pieces: UnigramLattices
        private let wordCounts: [Double]

        init(_ words: UnigramTrainingWords, _ seeds: UnigramSeeds) {
            var trie = PieceTrie()
            for piece in 0..<seeds.count {
                _ = trie.insert(seeds.bytes[seeds.range(of: piece)], value: Int32(piece))
            }
            let lengths = (0..<seeds.count).map { UInt8(truncatingIfNeeded: seeds.range(of: $0).count) }
            wordCounts = words.counts.map { Double($0) }
            self.words = UnigramLattices(
                words.counts.indices.lazy.map { words.range(of: $0) }, of: words.bytes, counts: wordCounts,
                trie: trie, pieceLengths: lengths)
            pieces = UnigramLattices(
                (0..<seeds.count).lazy.map { seeds.range(of: $0) }, of: seeds.bytes,
                counts: [Double](repeating: 1, count: seeds.count), trie: trie, pieceLengths: lengths)
            let total = log(max(1, seeds.weights.reduce(0, +)))
            // Bytes that the text does not have must not be impossible.
            scores = seeds.weights.map { log(max($0, 0.5)) - total }
            isKept = [Bool](repeating: true, count: seeds.count)
            count = seeds.count
        }

        /// Estimates the scores from the expected counts of the pieces, and drops pieces that are hardly expected.
        ///
        /// Bytes and the given number of pieces are kept.
        mutating func estimate(leastExpectedCount least: Double, keeping keptCount: Int) {
            let expected = words.expectedCounts(scores)
            var dropped = scores.indices.filter { isKept[$0] && $0 >= 256 && expected[$0] < least }
            if count - dropped.count < keptCount {
                dropped.sort { expected[$0] != expected[$1] ? expected[$0] < expected[$1] : $0 > $1 }
                dropped.removeLast(dropped.count - max(0, count - keptCount))
            }
            for piece in dropped { isKept[piece] = false }
            count -= dropped.count
            var sum = 0.0
            for piece in scores.indices where isKept[piece] && expected[piece] >= least {
                sum += expected[piece]
            }
            let total = Self.digamma(max(sum, least))
            for piece in scores.indices where isKept[piece] {
                scores[piece] = Self.digamma(max(expected[piece], least)) - total
            }
            if !dropped.isEmpty { words.keep(isKept) }
        }

        /// Drops the pieces that cost least, up to the given number; bytes are kept.
        mutating func prune(to wanted: Int) {
            pieces.keep(isKept)
            // What the best divisions of the words use.
            var frequencies = [Double](repeating: 0, count: scores.count)
            let counts = wordCounts
            words.bestDivisions(scores) { word, parts, _ in
                for piece in parts { frequencies[Int(piece)] += counts[word] }
            }
            let sum = frequencies.reduce(0, +)
            let logSum = log(sum)
            var candidates: [(piece: Int, loss: Double)] = []
            pieces.bestDivisions(scores, excludesOwnPiece: true) { piece, parts, _ in
                guard isKept[piece], piece >= 256 else { return }
                let frequency = frequencies[piece]
                // The best divisions never use it, or its parts are as good.
                guard frequency > 0 else { return candidates.append((piece, -.infinity)) }
                // If the parts take over the occurrences of the piece, there are more pieces in all.
                let newSum = log(sum + frequency * Double(parts.count - 1))
                let ofParts = parts.reduce(0.0) { $0 + log(frequencies[Int($1)] + frequency) - newSum }
                candidates.append((piece, frequency * (log(frequency) - logSum - ofParts)))
            }
            let surplus = min(count - wanted, candidates.count)
            guard surplus > 0 else { return }
            // Later pieces weighed less at the start.
            candidates.sort { $0.loss != $1.loss ? $0.loss < $1.loss : $0.piece > $1.piece }
            for candidate in candidates.prefix(surplus) { isKept[candidate.piece] = false }
            count -= surplus
            words.keep(isKept)
        }

        /// The derivative of the logarithm of the gamma function, for positive numbers.
        static func digamma(_ value: Double) -> Double {
            var (x, result) = (value, 0.0)
            while x < 7 {
                result -= 1 / x
                x += 1
            }
            x -= 0.5
            let square = 1 / (x * x)
            let fourth = square * square
            return result + log(x) + square / 24 - 7 / 960 * fourth + 31 / 8064 * fourth * square
                - 127 / 30720 * fourth * fourth
        }
    }
}
