import RetNetText

/// A task whose examples are generated on demand, so that no example is repeated.
public protocol SyntheticTask: Sendable {
    /// The name in tables and plots.
    var title: String { get }
    /// All sizes in one line; different for different tasks.
    var summary: String { get }
    /// The number of token ids.
    var vocabularySize: Int { get }
    /// The training examples.
    var training: TaskSplit { get }
    /// The examples for scoring; the first evaluation decides if the task is solved.
    var evaluations: [TaskSplit] { get }
    /// The accuracy of the best guess that does not solve the task.
    var chance: Double { get }
    /// A description of that guess in a few words.
    var chanceMeaning: String { get }
    /// The scored positions in a few words.
    var scored: String { get }

    /// Returns an example of a length within the split; it depends on the state of the generator only.
    func example(_ split: TaskSplit, length: Int, _ generator: inout SeededGenerator) -> TaskExample
}

extension SyntheticTask {
    /// Returns a batch of examples of one length; it depends on seed and index only.
    public func batch(_ split: TaskSplit, rowCount: Int, seed: UInt64, index: Int) -> Batch {
        // Stream 0 is that of generators without a stream.
        var generator = SeededGenerator(seed: seed, stream: UInt64(truncatingIfNeeded: index) &+ 1)
        let length = generator.integer(in: split.lengths)
        var tokens: [Int32] = []
        var targets: [Int32] = []
        tokens.reserveCapacity(rowCount * length)
        targets.reserveCapacity(rowCount * length)
        for _ in 0..<max(1, rowCount) {
            let example = example(split, length: length, &generator)
            tokens += example.tokens
            targets += example.targets
        }
        return Batch(rowCount: max(1, rowCount), length: length, tokens: tokens, targets: targets)
    }
}

/// A distribution of examples of a task: their lengths and their scored positions.
public struct TaskSplit: Sendable, Hashable {
    /// The name in tables and result files.
    public var name: String
    /// Tokens per example; all examples of a batch have one length drawn from this range.
    public var lengths: ClosedRange<Int>
    /// The first scored position, from 0; earlier positions have no target.
    public var firstScored: Int

    /// Creates a split with examples of a range of lengths; all positions are scored by default.
    public init(name: String, lengths: ClosedRange<Int>, firstScored: Int = 0) {
        self.name = name
        self.lengths = lengths
        self.firstScored = firstScored
    }

    /// Creates a split with examples of one length.
    public init(name: String, length: Int, firstScored: Int = 0) {
        self.init(name: name, lengths: length...length, firstScored: firstScored)
    }
}

/// An example of a synthetic task.
public struct TaskExample: Sendable, Hashable {
    /// The input tokens.
    public var tokens: [Int32]
    /// The right answer at each position; -100 for none.
    public var targets: [Int32]

    /// Creates an example from the same number of tokens and targets.
    public init(tokens: [Int32], targets: [Int32]) {
        self.tokens = tokens
        self.targets = targets
    }
}

/// An endless source of batches of fresh examples of a task.
public struct SyntheticBatches: BatchSource {
    private let task: any SyntheticTask
    private let rowCount: Int
    private let seed: UInt64
    private var index = 0

    /// Creates a source of training batches, which depend on the seed only.
    public init(_ task: any SyntheticTask, rowCount: Int, seed: UInt64) {
        self.task = task
        self.rowCount = max(1, rowCount)
        self.seed = seed
    }

    /// The number of returned batches, with a description of the task.
    public var state: BatchSourceState {
        BatchSourceState(
            kind: "\(task.title): \(task.summary)", rowCount: rowCount,
            length: task.training.lengths.upperBound, seed: seed, index: index)
    }

    /// The number of inputs in the longest batch.
    public var tokensPerBatch: Int { rowCount * task.training.lengths.upperBound }
    /// Always 0: no example is repeated.
    public var epoch: Int { 0 }

    /// Returns the next batch.
    public mutating func next() throws -> Batch {
        defer { index += 1 }
        return task.batch(task.training, rowCount: rowCount, seed: seed, index: index)
    }

    /// Restores a saved position; throws `TextError.stateMismatch` if it belongs to another task, size or seed.
    public mutating func restore(_ state: BatchSourceState) throws {
        try state.check(belongsWith: self.state)
        index = max(0, state.index)
    }
}
