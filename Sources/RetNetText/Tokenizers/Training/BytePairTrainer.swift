/// The training of byte pairs: the pair of pieces that is most frequent in the words becomes a piece, again and again.
///
/// Counts, ties and order are those of `BpeTrainer` in Hugging Face's `tokenizers` (`models/bpe/trainer.rs`) over
/// byte-level words: of pairs that are equally frequent, the one with the lower first piece comes first, then the one with the
/// lower second. Counts of pairs are kept up to date, so a step costs as much as the words that contain its pair.
struct BytePairTrainer {
    /// The number of pieces to stop at, with those before the first byte.
    let vocabularySize: Int
    /// The number of pieces before the first byte.
    let firstByte: Int
    /// The least number of occurrences of a pair that becomes a piece.
    let minimumFrequency: Int

    /// A pair of pieces; the piece made of it is the next one of the vocabulary.
    struct Merge: Equatable {
        let first: Int32
        let second: Int32
    }

    /// Returns the pairs in the order in which they became pieces; `progress` gets the share of the pieces so far.
    func merges(of words: WordCounts, progress: (Double) -> Void = { _ in }) -> [Merge] {
        var pairs = PairCounts()
        var symbols: [Int32] = []
        symbols.reserveCapacity(words.bytes.count)
        var lengths: [Int] = []
        let bytePieces = ByteAlphabet.ranks.map { $0 + Int32(firstByte) }
        for index in words.counts.indices {
            let range = words.range(of: index)
            for place in range {
                symbols.append(bytePieces[Int(words.bytes[place])])
                guard place > range.lowerBound else { continue }
                pairs.add(symbols[place - 1], symbols[place], words.counts[index], word: index)
            }
            lengths.append(range.count)
        }
        var queue = PriorityHeap<CountedPair>()
        for index in pairs.keys.indices { queue.offer(pairs.entry(index)) }
        var merges: [Merge] = []
        var size = firstByte + bytePieces.count
        while size < vocabularySize, let top = queue.popFirst() {
            let current = pairs.entry(top.index)
            guard current.count == top.count else {
                // Other merges have used some of the occurrences.
                queue.offer(current)
                continue
            }
            guard top.count >= max(1, minimumFrequency) else { break }
            let merge = Merge(
                first: Int32(truncatingIfNeeded: top.key >> 32), second: Int32(truncatingIfNeeded: top.key))
            merges.append(merge)
            let newPairs = pairs.keys.count
            let places = pairs.takeWords(of: top.index)
            symbols.withUnsafeMutableBufferPointer { symbols in
                for word in places {
                    let start = words.starts[Int(word)]
                    let part = UnsafeMutableBufferPointer(
                        rebasing: symbols[start..<start + lengths[Int(word)]])
                    lengths[Int(word)] = Self.apply(
                        merge, piece: Int32(size), to: part, count: words.counts[Int(word)], word: Int(word),
                        &pairs)
                }
            }
            for index in newPairs..<pairs.keys.count { queue.offer(pairs.entry(index)) }
            size += 1
            progress(Double(merges.count) / Double(vocabularySize - firstByte - bytePieces.count))
        }
        return merges
    }

    /// Merges a pair in a word from left to right, corrects the counts of its neighbors, and returns the word's new length.
    private static func apply(
        _ merge: Merge, piece: Int32, to symbols: UnsafeMutableBufferPointer<Int32>, count: Int, word: Int,
        _ pairs: inout PairCounts
    ) -> Int {
        var (read, written) = (0, 0)
        while read < symbols.count {
            guard read + 1 < symbols.count, symbols[read] == merge.first, symbols[read + 1] == merge.second
            else {
                symbols[written] = symbols[read]
                written += 1
                read += 1
                continue
            }
            if written > 0 {
                let before = symbols[written - 1]
                pairs.remove(before, merge.first, count)
                pairs.add(before, piece, count, word: word)
            }
            if read + 2 < symbols.count {
                let after = symbols[read + 2]
                pairs.remove(merge.second, after, count)
                pairs.add(piece, after, count, word: word)
            }
            symbols[written] = piece
            written += 1
            read += 2
        }
        return written
    }
}

/// The counts of pairs of pieces in all words, with the words that contain each.
private struct PairCounts {
    /// The pairs, the first piece in the upper half.
    private(set) var keys: [UInt64] = []
    private var counts: [Int] = []
    /// Words that contain each pair, or did before other merges.
    private var words: [[Int32]] = []
    private var indices: [UInt64: Int32] = [:]

    mutating func add(_ first: Int32, _ second: Int32, _ count: Int, word: Int) {
        let key = Self.key(first, second)
        let index: Int
        if let found = indices[key] {
            index = Int(found)
        } else {
            index = keys.count
            indices[key] = Int32(truncatingIfNeeded: index)
            keys.append(key)
            counts.append(0)
            words.append([])
        }
        counts[index] &+= count
        let word = Int32(truncatingIfNeeded: word)
        if words[index].last != word { words[index].append(word) }
    }

    mutating func remove(_ first: Int32, _ second: Int32, _ count: Int) {
        guard let index = indices[Self.key(first, second)] else { return }
        counts[Int(index)] &-= count
    }

    func entry(_ index: Int) -> CountedPair {
        CountedPair(count: counts[index], key: keys[index], index: index)
    }

    /// Returns the words of a pair, which are forgotten.
    mutating func takeWords(of index: Int) -> [Int32] {
        defer { words[index] = [] }
        return words[index]
    }

    private static func key(_ first: Int32, _ second: Int32) -> UInt64 {
        UInt64(UInt32(bitPattern: first)) << 32 | UInt64(UInt32(bitPattern: second))
    }
}

/// A pair with its count: the highest count comes first, of equal ones the pair of the lowest pieces.
private struct CountedPair: Comparable {
    let count: Int
    let key: UInt64
    let index: Int

    static func < (pair: Self, other: Self) -> Bool {
        pair.count != other.count ? pair.count > other.count : pair.key < other.key
    }
}

extension PriorityHeap<CountedPair> {
    /// Adds a pair that occurs; one that no longer does is left out.
    fileprivate mutating func offer(_ pair: CountedPair) {
        if pair.count > 0 { insert(pair) }
    }
}
