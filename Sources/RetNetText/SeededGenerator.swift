/// A random number generator with the same numbers for the same seed on every platform.
///
/// The algorithm is xoshiro256** (Blackman and Vigna, 2018), seeded by SplitMix64. Its state can be saved
/// and restored. Not suitable for cryptography.
public struct SeededGenerator: RandomNumberGenerator, Hashable, Sendable {
    private var word0: UInt64
    private var word1: UInt64
    private var word2: UInt64
    private var word3: UInt64

    /// Creates a generator; different values of `stream` give independent sequences for one seed.
    public init(seed: UInt64, stream: UInt64 = 0) {
        var mixer = seed
        var streamMixer = stream
        // Mixed before it is combined, so that neighboring seeds and streams do not collide.
        let offset = stream == 0 ? 0 : Self.splitMix(&streamMixer)
        word0 = Self.splitMix(&mixer) ^ offset
        word1 = Self.splitMix(&mixer) ^ offset
        word2 = Self.splitMix(&mixer) ^ offset
        word3 = Self.splitMix(&mixer) ^ offset
        // The one state that the algorithm never leaves.
        if word0 | word1 | word2 | word3 == 0 { word0 = 1 }
    }

    /// Returns the next 64 random bits.
    public mutating func next() -> UInt64 {
        let product = word1 &* 5
        let result = ((product << 7) | (product >> 57)) &* 9
        let shifted = word1 << 17
        word2 ^= word0
        word3 ^= word1
        word1 ^= word2
        word0 ^= word3
        word2 ^= shifted
        word3 = (word3 << 45) | (word3 >> 19)
        return result
    }

    /// Returns a uniformly distributed number in `0..<bound`, or 0 when `bound` is less than 2.
    public mutating func integer(below bound: Int) -> Int {
        guard bound > 1 else { return 0 }
        // Lemire's method, written out because the standard library does not guarantee its algorithm.
        let range = UInt64(bound)
        var product = next().multipliedFullWidth(by: range)
        if product.low < range {
            let threshold = (0 &- range) % range
            while product.low < threshold { product = next().multipliedFullWidth(by: range) }
        }
        return Int(product.high)
    }

    /// Returns a uniformly distributed number in a range whose bounds are at most `Int.max - 1` apart.
    public mutating func integer(in range: ClosedRange<Int>) -> Int {
        let (width, overflows) = range.upperBound.subtractingReportingOverflow(range.lowerBound)
        guard !overflows, width < Int.max else { return range.lowerBound }
        return range.lowerBound + integer(below: width + 1)
    }

    /// Returns a uniformly distributed number from 0 up to but not including 1.
    public mutating func unitDouble() -> Double {
        Double(next() >> 11) * 0x1p-53
    }

    /// Returns true with the given probability.
    public mutating func chance(_ probability: Double) -> Bool {
        unitDouble() < probability
    }

    /// Puts the elements into random order.
    public mutating func shuffle<Element>(_ elements: inout [Element]) {
        guard elements.count > 1 else { return }
        for index in stride(from: elements.count - 1, to: 0, by: -1) {
            elements.swapAt(index, integer(below: index + 1))
        }
    }

    /// Returns the next number of SplitMix64 (Steele, Lea and Flood, 2014).
    static func splitMix(_ state: inout UInt64) -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var value = state
        value = (value ^ (value >> 30)) &* 0xBF58_476D_1CE4_E5B9
        value = (value ^ (value >> 27)) &* 0x94D0_49BB_1331_11EB
        return value ^ (value >> 31)
    }
}

extension SeededGenerator: Codable {
    /// Reads the four words of the state; throws `DecodingError` if they are not a valid state.
    public init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        let words = try container.decode([UInt64].self)
        guard words.count == 4, words.contains(where: { $0 != 0 }) else {
            throw DecodingError.dataCorruptedError(
                in: container, debugDescription: "a generator state is four numbers that are not all zero")
        }
        (word0, word1, word2, word3) = (words[0], words[1], words[2], words[3])
    }

    /// Writes the four words of the state.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode([word0, word1, word2, word3])
    }
}
