import Foundation

/// All divisions of many strings into pieces, as one list of arcs: an arc leads over the bytes of one piece.
///
/// Pieces are looked up once. Those that the training drops are removed from the list, so each pass over it reads the memory
/// in order.
struct UnigramLattices {
    /// The pieces of the arcs, ordered by string and by the place at which they end.
    private var arcs: [Int32]
    /// For each place behind a byte, the end of its arcs.
    private var ends: [Int]
    /// The number of places of each string, and how often it counts.
    private let lengths: [Int]
    private let counts: [Double]
    private let longest: Int
    /// The bytes of each piece.
    private let pieceLengths: [UInt8]

    /// Looks up the pieces of strings, which are ranges of bytes, in a tree of all pieces.
    init(
        _ strings: some Sequence<Range<Int>>, of bytes: [UInt8], counts: [Double], trie: PieceTrie,
        pieceLengths: [UInt8]
    ) {
        var (arcs, ends): ([Int32], [Int]) = ([], [])
        var (lengths, longest): ([Int], Int) = ([], 0)
        var (found, sorted): ([(end: Int, piece: Int32)], [Int32]) = ([], [])
        var places: [Int] = []
        trie.withWalker { trie in
            for range in strings {
                found.removeAll(keepingCapacity: true)
                places = [Int](repeating: 0, count: range.count + 1)
                for start in range {
                    var (node, end) = (0, start)
                    while end < range.upperBound {
                        node = trie.child(of: node, bytes[end])
                        if node == 0 { break }
                        end += 1
                        let piece = trie.value(of: node)
                        guard piece >= 0 else { continue }
                        found.append((end - range.lowerBound, piece))
                        places[end - range.lowerBound] += 1
                    }
                }
                // By their ends, in the order of their starts.
                var sum = 0
                for place in places.indices.dropFirst() {
                    let count = places[place]
                    places[place] = sum
                    sum += count
                }
                sorted = [Int32](repeating: 0, count: found.count)
                for arc in found {
                    sorted[places[arc.end]] = arc.piece
                    places[arc.end] += 1
                }
                let base = arcs.count
                arcs.append(contentsOf: sorted)
                for place in places.dropFirst() { ends.append(base + place) }
                lengths.append(range.count)
                longest = max(longest, range.count)
            }
        }
        (self.arcs, self.ends) = (arcs, ends)
        (self.lengths, self.counts) = (lengths, counts)
        (self.longest, self.pieceLengths) = (longest, pieceLengths)
    }

    /// Removes the arcs of pieces that are not kept.
    mutating func keep(_ isKept: [Bool]) {
        var (read, written) = (0, 0)
        for place in ends.indices {
            while read < ends[place] {
                if isKept[Int(arcs[read])] {
                    arcs[written] = arcs[read]
                    written += 1
                }
                read += 1
            }
            ends[place] = written
        }
        arcs.removeLast(arcs.count - written)
    }

    /// Returns how often each piece is expected, by the probability of all divisions of all strings.
    ///
    /// The sums run forward over the places; going back, the probability of each place is shared among its arcs.
    func expectedCounts(_ scores: [Double]) -> [Double] {
        var expected = [Double](repeating: 0, count: scores.count)
        // The logarithm of the sum of all ways to a place, and the probability that it is a border.
        var sums = [Double](repeating: 0, count: longest + 1)
        var borders = [Double](repeating: 0, count: longest + 1)
        var shares: [Double] = []
        var (first, arc) = (0, 0)
        for (length, count) in zip(lengths, counts) {
            let base = arc
            sums[0] = 0
            shares.removeAll(keepingCapacity: true)
            for place in 1...length {
                let end = ends[first + place - 1]
                var largest = -Double.infinity
                for index in arc..<end {
                    let piece = Int(arcs[index])
                    let value = sums[place - Int(pieceLengths[piece])] + scores[piece]
                    shares.append(value)
                    largest = max(largest, value)
                }
                var total = 0.0
                for index in arc - base..<end - base {
                    shares[index] = exp(shares[index] - largest)
                    total += shares[index]
                }
                sums[place] = largest + log(total)
                let scale = 1 / total
                for index in arc - base..<end - base { shares[index] *= scale }
                borders[place] = 0
                arc = end
            }
            borders[0] = 0
            borders[length] = count
            var end = arc
            for place in stride(from: length, through: 1, by: -1) {
                let start = place > 1 ? ends[first + place - 2] : base
                for index in start..<end {
                    let (piece, share) = (Int(arcs[index]), borders[place] * shares[index - base])
                    expected[piece] += share
                    borders[place - Int(pieceLengths[piece])] += share
                }
                end = start
            }
            first += length
        }
        return expected
    }

    /// Calls `body` with the pieces of the best division of each string, last piece first, and with the sum of their scores.
    ///
    /// With `excludesOwnPiece`, strings are the pieces in order, and their divisions must not use the piece itself; a piece
    /// that has no other division gets none.
    func bestDivisions(
        _ scores: [Double], excludesOwnPiece: Bool = false,
        _ body: (_ string: Int, _ pieces: [Int32], _ score: Double) -> Void
    ) {
        var best = [Double](repeating: 0, count: longest + 1)
        var last = [Int32](repeating: -1, count: longest + 1)
        var pieces: [Int32] = []
        var (first, arc) = (0, 0)
        for (string, length) in lengths.enumerated() {
            let without = excludesOwnPiece ? Int32(truncatingIfNeeded: string) : -1
            best[0] = 0
            for place in 1...length {
                (best[place], last[place]) = (-.infinity, -1)
                let end = ends[first + place - 1]
                for index in arc..<end where arcs[index] != without {
                    let piece = Int(arcs[index])
                    let value = best[place - Int(pieceLengths[piece])] + scores[piece]
                    if value > best[place] { (best[place], last[place]) = (value, arcs[index]) }
                }
                arc = end
            }
            pieces.removeAll(keepingCapacity: true)
            var place = length
            while place > 0, last[place] >= 0 {
                pieces.append(last[place])
                place -= Int(pieceLengths[Int(last[place])])
            }
            body(string, place == 0 ? pieces : [], best[length])
            first += length
        }
    }
}
