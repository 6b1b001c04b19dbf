/// A way through the windows of a text, in a new random order each epoch and cut at a new random phase.
struct WindowWalk: Sendable {
    /// How many windows an epoch has, given its phase.
    typealias WindowCount = @Sendable (_ phase: Int) -> Int

    /// How many times the whole text has been handed out.
    private(set) var epoch = 0
    /// Windows of the epoch handed out so far.
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

    /// The start of epoch 0 of windows of a length.
    init(length: Int, seed: UInt64, windowCount: @escaping WindowCount) {
        self.length = length
        self.seed = seed
        countWindows = windowCount
        order = Self.order(of: 0, length: length, seed: seed, windowCount)
    }

    /// Where the epoch cuts, from 0 to the length less 1.
    var phase: Int { order.phase }
    /// The windows of the epoch.
    var windowCount: Int { order.windowCount }
    /// The next window of the epoch.
    var window: Int { order.permutation(index) }

    /// Goes on to the next window.
    mutating func advance() {
        index += 1
        guard index >= windowCount else { return }
        index = 0
        epoch += 1
        order = Self.order(of: epoch, length: length, seed: seed, countWindows)
    }

    /// Goes to a saved place; throws `TextError.stateMismatch` where it is impossible.
    ///
    /// `name` is what a window is called.
    mutating func restore(_ state: BatchSourceState, name: String) throws {
        guard state.epoch >= 0, state.epoch <= Int(Int32.max) else {
            throw TextError.stateMismatch(reason: "its epoch \(state.epoch) is impossible")
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
