/// A pseudo-random permutation of `0..<count` that is computed item by item, without memory for the items.
///
/// A Feistel network permutes the smallest power of four that holds all indices; results outside the
/// range are permuted again until one is inside ("cycle walking"), so the result is still a permutation.
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

    /// Returns the item at an index in `0..<count`.
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

/// The position in the windows of a text, with a new random phase and a new random order in each epoch.
struct WindowWalk: Sendable {
    /// The number of windows of an epoch with the given phase.
    typealias WindowCount = @Sendable (_ phase: Int) -> Int

    /// The number of completed passes over the text.
    private(set) var epoch = 0
    /// The number of windows of the epoch already used.
    private(set) var index = 0
    private var order: Order
    private let length: Int
    private let seed: UInt64
    private let countWindows: WindowCount

    /// The windows of one epoch.
    private struct Order {
        let phase: Int
        let windowCount: Int
        let permutation: IndexPermutation
    }

    /// Creates a walk at the start of epoch 0.
    init(length: Int, seed: UInt64, windowCount: @escaping WindowCount) {
        self.length = length
        self.seed = seed
        countWindows = windowCount
        order = Self.order(of: 0, length: length, seed: seed, windowCount)
    }

    /// The offset of the cuts of the epoch, in `0..<length`.
    var phase: Int { order.phase }
    /// The number of windows of the epoch.
    var windowCount: Int { order.windowCount }
    /// The next window of the epoch.
    var window: Int { order.permutation(index) }

    /// Moves to the next window.
    mutating func advance() {
        index += 1
        guard index >= windowCount else { return }
        index = 0
        epoch += 1
        order = Self.order(of: epoch, length: length, seed: seed, countWindows)
    }

    /// Moves to a saved position; throws `TextError.stateMismatch` if there is no such position.
    ///
    /// `name` is the word for a window in the error.
    mutating func restore(_ state: BatchSourceState, name: String) throws {
        guard state.epoch >= 0, state.epoch <= Int(Int32.max) else {
            throw TextError.stateMismatch(reason: "its epoch \(state.epoch) is out of range")
        }
        let order = Self.order(of: state.epoch, length: length, seed: seed, countWindows)
        guard state.index >= 0, state.index < order.windowCount else {
            throw TextError.stateMismatch(
                reason: "its \(name) \(state.index) is outside 0..<\(order.windowCount)")
        }
        self.order = order
        epoch = state.epoch
        index = state.index
    }

    private static func order(of epoch: Int, length: Int, seed: UInt64, _ windowCount: WindowCount) -> Order {
        var generator = SeededGenerator(seed: seed, stream: UInt64(truncatingIfNeeded: epoch) &+ 1)
        let phase = generator.integer(below: length)
        let count = windowCount(phase)
        return Order(
            phase: phase, windowCount: count,
            permutation: IndexPermutation(count: count, generator: &generator))
    }
}
