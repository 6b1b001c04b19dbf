import Foundation

/// Python's `random.Random`: the Mersenne Twister with CPython's seeding and sampling, draw for draw.
///
/// lm-evaluation-harness draws few-shot examples and bootstrap samples from it, so that equal prompts and equal standard
/// errors need the same numbers. Source: CPython 3.11, `Modules/_randommodule.c` and `Lib/random.py`; Matsumoto and
/// Nishimura, "Mersenne Twister" (1998).
public struct PythonRandom: Sendable {
    private static let length = 624
    private static let middle = 397
    private var state = [UInt32](repeating: 0, count: PythonRandom.length)
    private var index = PythonRandom.length

    /// Creates the generator of `random.Random(seed)`.
    public init(seed: UInt64) {
        // CPython passes the 32-bit digits of the integer, the lowest first; zero has one digit.
        let high = UInt32(truncatingIfNeeded: seed >> 32)
        let key = high == 0 ? [UInt32(truncatingIfNeeded: seed)] : [UInt32(truncatingIfNeeded: seed), high]
        fill(19_650_218)
        var (i, j) = (1, 0)
        for _ in 0..<max(Self.length, key.count) {
            let mixed = (state[i - 1] ^ (state[i - 1] >> 30)) &* 1_664_525
            state[i] = (state[i] ^ mixed) &+ key[j] &+ UInt32(j)
            i += 1
            j = (j + 1) % key.count
            wrap(&i)
        }
        for _ in 1..<Self.length {
            let mixed = (state[i - 1] ^ (state[i - 1] >> 30)) &* 1_566_083_941
            state[i] = (state[i] ^ mixed) &- UInt32(i)
            i += 1
            wrap(&i)
        }
        state[0] = 0x8000_0000
    }

    private mutating func fill(_ seed: UInt32) {
        state[0] = seed
        for i in 1..<Self.length {
            state[i] = 1_812_433_253 &* (state[i - 1] ^ (state[i - 1] >> 30)) &+ UInt32(i)
        }
    }

    private mutating func wrap(_ i: inout Int) {
        guard i >= Self.length else { return }
        state[0] = state[Self.length - 1]
        i = 1
    }

    // MARK: Numbers

    /// Returns the next 32 bits of the Mersenne Twister.
    mutating func nextWord() -> UInt32 {
        if index >= Self.length { regenerate() }
        var y = state[index]
        index += 1
        y ^= y >> 11
        y ^= (y << 7) & 0x9D2C_5680
        y ^= (y << 15) & 0xEFC6_0000
        return y ^ (y >> 18)
    }

    private mutating func regenerate() {
        state.withUnsafeMutableBufferPointer { state in
            func twisted(_ high: UInt32, _ low: UInt32) -> UInt32 {
                let y = (high & 0x8000_0000) | (low & 0x7FFF_FFFF)
                return (y >> 1) ^ (y & 1 == 0 ? 0 : 0x9908_B0DF)
            }
            let (n, m) = (Self.length, Self.middle)
            for k in 0..<(n - m) { state[k] = state[k + m] ^ twisted(state[k], state[k + 1]) }
            for k in (n - m)..<(n - 1) { state[k] = state[k + m - n] ^ twisted(state[k], state[k + 1]) }
            state[n - 1] = state[m - 1] ^ twisted(state[n - 1], state[0])
        }
        index = 0
    }

    /// Returns `getrandbits(count)` for 1 to 64 bits; 0 for other counts.
    public mutating func bits(_ count: Int) -> UInt64 {
        guard (1...64).contains(count) else { return 0 }
        if count <= 32 { return UInt64(nextWord() >> UInt32(32 - count)) }
        let low = UInt64(nextWord())
        return low | UInt64(nextWord() >> UInt32(64 - count)) << 32
    }

    /// Returns `random()`: a number from 0 to 1, without 1, in steps of 2⁻⁵³.
    public mutating func uniform() -> Double {
        let (high, low) = (nextWord() >> 5, nextWord() >> 6)
        return (Double(high) * 67_108_864 + Double(low)) * (1.0 / 9_007_199_254_740_992)
    }

    /// Returns `randrange(bound)`, a number from 0 to `bound` - 1; 0 for a bound below 1.
    public mutating func below(_ bound: Int) -> Int {
        guard bound > 0 else { return 0 }
        let width = Int.bitWidth - bound.leadingZeroBitCount
        var drawn = bits(width)
        while drawn >= UInt64(bound) { drawn = bits(width) }
        return Int(drawn)
    }

    // MARK: Sequences

    /// Returns the indices of `sample(range(population), count)`; nil if there are fewer than `count`.
    public mutating func sampleIndices(_ population: Int, count: Int) -> [Int]? {
        guard count >= 0, count <= population else { return nil }
        var setSize = 21
        if count > 5 {
            setSize += Int(pow(4, (log(Double(count * 3)) / log(4)).rounded(.up)))
        }
        if population <= setSize {
            var pool = Array(0..<population)
            return (0..<count).map { i in
                let j = below(population - i)
                defer { pool[j] = pool[population - i - 1] }
                return pool[j]
            }
        }
        var selected: Set<Int> = []
        return (0..<count).map { _ in
            var j = below(population)
            while !selected.insert(j).inserted { j = below(population) }
            return j
        }
    }

    /// Shuffles an array as `shuffle(elements)`.
    public mutating func shuffle<Element>(_ elements: inout [Element]) {
        for i in stride(from: elements.count - 1, to: 0, by: -1) {
            elements.swapAt(i, below(i + 1))
        }
    }

    /// Returns an index of `choices(population)`, an independent draw from `0..<count`.
    mutating func choice(_ count: Double) -> Int { Int(uniform() * count) }
}
