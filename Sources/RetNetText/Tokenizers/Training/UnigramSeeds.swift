/// The pieces that the training of a unigram model starts from: single bytes and parts of words that occur more than once.
///
/// As in SentencePiece (`unigram_model_trainer.cc`, `MakeSeedSentencePieces`), a part counts if it is the longest that all its
/// occurrences begin with, so that "acquain" is left out where "acquaint" always follows. Here occurrences count by the
/// frequency of their word, and whole words count too, even if they are part of no other.
struct UnigramSeeds {
    /// The bytes of all pieces one after the other: first the 256 bytes in order.
    private(set) var bytes: [UInt8] = Array(UInt8.min...UInt8.max)
    /// The start of each piece, and the end of the last.
    private(set) var starts: [Int] = Array(0...256)
    /// Occurrences of each piece times its bytes, the weight of its first estimate.
    private(set) var weights = [Double](repeating: 0, count: 256)

    /// The bytes of a piece at most, as in the references.
    static let longestPieceByteCount = 16
    /// The number of pieces to start from at most, as in the references.
    private static let largestCount = 1_000_000

    var count: Int { weights.count }
    func range(of piece: Int) -> Range<Int> { starts[piece]..<starts[piece + 1] }

    /// A place in a word with what follows it, up to the longest piece.
    private struct Suffix: Comparable {
        /// The bytes, the first one highest, with zeros behind the end.
        let (high, low): (UInt64, UInt64)
        let byteCount: Int32
        let start: Int
        let weight: Int
        let isWord: Bool

        init(_ bytes: UnsafeBufferPointer<UInt8>, _ place: Int, end: Int, weight: Int, isWord: Bool) {
            let count = min(end - place, UnigramSeeds.longestPieceByteCount)
            var (high, low): (UInt64, UInt64) = (0, 0)
            for index in 0..<16 {
                let byte: UInt64 = index < count ? UInt64(bytes[place + index]) : 0
                if index < 8 { high = high << 8 | byte } else { low = low << 8 | byte }
            }
            (self.high, self.low, byteCount) = (high, low, Int32(count))
            (start, self.weight) = (place, weight)
            self.isWord = isWord && count == end - place
        }

        static func < (left: Suffix, right: Suffix) -> Bool {
            if left.high != right.high { return left.high < right.high }
            if left.low != right.low { return left.low < right.low }
            // A zero byte comes behind the end. Equal parts keep the order of the text.
            if left.byteCount != right.byteCount { return left.byteCount < right.byteCount }
            return left.start < right.start
        }

        /// The number of bytes at the start that are equal.
        func commonByteCount(_ other: Suffix) -> Int {
            let equal =
                high != other.high
                ? (high ^ other.high).leadingZeroBitCount / 8
                : 8 + (low ^ other.low).leadingZeroBitCount / 8
            return min(equal, Int(byteCount), Int(other.byteCount))
        }
    }

    /// Finds the pieces of words.
    init(_ words: UnigramTrainingWords) {
        var suffixes: [Suffix] = []
        suffixes.reserveCapacity(words.bytes.count)
        words.bytes.withUnsafeBufferPointer { bytes in
            for index in words.counts.indices {
                let range = words.range(of: index)
                for place in range {
                    weights[Int(bytes[place])] += Double(words.counts[index])
                    suffixes.append(
                        Suffix(
                            bytes, place, end: range.upperBound, weight: words.counts[index],
                            isWord: place == range.lowerBound))
                }
            }
        }
        suffixes.sort()
        var found = Self.repeated(in: suffixes)
        // Of equal weights, the first in the order of bytes: `found` is in it.
        let order = found.indices.sorted {
            found[$0].weight != found[$1].weight ? found[$0].weight > found[$1].weight : $0 < $1
        }
        found = order.prefix(Self.largestCount).map { found[$0] }
        for piece in found {
            bytes.append(contentsOf: words.bytes[piece.start..<piece.start + piece.byteCount])
            starts.append(bytes.count)
            weights.append(piece.weight)
        }
    }

    private struct Found {
        let start: Int
        let byteCount: Int
        let weight: Double
    }

    /// Returns the parts of two bytes or more that several suffixes begin with or that are words, in the order of their bytes.
    private static func repeated(in suffixes: [Suffix]) -> [Found] {
        var found: [(place: Int, Found)] = []
        // Parts that the suffixes so far have in common with the next, shortest first, and the first suffix of each.
        var open: [(byteCount: Int, first: Int)] = []
        var sums = [0]
        sums.reserveCapacity(suffixes.count + 1)
        func close(_ part: (byteCount: Int, first: Int), end: Int) {
            let occurrences = sums[end] - sums[part.first]
            guard part.byteCount > 1, occurrences > 1 else { return }
            let piece = Found(
                start: suffixes[part.first].start, byteCount: part.byteCount,
                weight: Double(occurrences) * Double(part.byteCount))
            found.append((part.first, piece))
        }
        for index in suffixes.indices {
            sums.append(sums[index] &+ suffixes[index].weight)
        }
        for index in suffixes.indices {
            let common = index + 1 < suffixes.count ? suffixes[index].commonByteCount(suffixes[index + 1]) : 0
            var first = index
            let own = Int(suffixes[index].byteCount)
            if own > common, suffixes[index].isWord, open.last.map({ $0.byteCount < own }) ?? true {
                // A word that no other begins with.
                close((own, index), end: index + 1)
            }
            while let last = open.last, last.byteCount > common {
                open.removeLast()
                close(last, end: index + 1)
                first = last.first
            }
            if common > 1, (open.last?.byteCount ?? 0) < common { open.append((common, first)) }
        }
        // A shorter part comes before the longer ones that begin with it.
        return found.enumerated().sorted {
            let (left, right) = ($0.element, $1.element)
            if left.place != right.place { return left.place < right.place }
            return left.1.byteCount < right.1.byteCount
        }.map(\.element.1)
    }
}

/// The words that a unigram model is trained on: all of them or, of very many, the most frequent ones.
struct UnigramTrainingWords {
    let bytes: [UInt8]
    let starts: [Int]
    let counts: [Int]

    func range(of index: Int) -> Range<Int> { starts[index]..<starts[index + 1] }

    /// Takes words of together at most `byteCount` bytes, which bound the memory of the training at about 2 GiB.
    init(_ words: WordCounts, byteCount limit: Int = 1 << 25) {
        guard words.bytes.count > limit else {
            (bytes, starts, counts) = (words.bytes, words.starts, words.counts)
            return
        }
        let order = words.counts.indices.sorted {
            words.counts[$0] != words.counts[$1] ? words.counts[$0] > words.counts[$1] : $0 < $1
        }
        var (bytes, starts, counts): ([UInt8], [Int], [Int]) = ([], [0], [])
        for index in order where bytes.count + words.range(of: index).count <= limit {
            bytes.append(contentsOf: words.bytes[words.range(of: index)])
            starts.append(bytes.count)
            counts.append(words.counts[index])
        }
        (self.bytes, self.starts, self.counts) = (bytes, starts, counts)
    }
}
