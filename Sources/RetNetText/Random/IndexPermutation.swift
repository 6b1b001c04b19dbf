/// A pseudo-random order of `0..<count` that is computed item by item, so it takes no memory.
///
/// A Feistel network permutes the smallest power of four that holds all indices; results outside the
/// range are fed in again until one falls inside, which keeps it a permutation ("cycle walking").
struct IndexPermutation: Sendable {
    private static let roundCount = 6
    private let count: Int
    private let halfBitCount: UInt64
    private let mask: UInt64
    private let keys: [UInt64]

    init(count: Int, generator: inout SeededGenerator) {
        self.count = count
        var bits: UInt64 = 1
        while bits < 31, (1 << (2 * bits)) < UInt64(max(count, 1)) { bits += 1 }
        halfBitCount = bits
        mask = (1 << bits) - 1
        keys = (0..<Self.roundCount).map { _ in generator.next() }
    }

    /// The item at a place of the order; `index` must be in `0..<count`.
    func callAsFunction(_ index: Int) -> Int {
        guard count > 1 else { return 0 }
        var value = UInt64(index)
        repeat { value = permuteOnce(value) } while value >= UInt64(count)
        return Int(value)
    }

    private func permuteOnce(_ value: UInt64) -> UInt64 {
        var left = value >> halfBitCount
        var right = value & mask
        for key in keys {
            var state = right ^ key
            (left, right) = (right, left ^ (SeededGenerator.splitMix(&state) & mask))
        }
        return left << halfBitCount | right
    }
}
