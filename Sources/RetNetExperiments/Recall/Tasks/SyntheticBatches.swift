import RetNetText

/// Batches of fresh examples of a task, without end.
public struct SyntheticBatches: BatchSource {
    private let task: any SyntheticTask
    private let rowCount: Int
    private let seed: UInt64
    private var index = 0

    /// Batches for training; the same for the same seed.
    public init(_ task: any SyntheticTask, rowCount: Int, seed: UInt64) {
        self.task = task
        self.rowCount = max(1, rowCount)
        self.seed = seed
    }

    /// How many batches have been handed out, with what tells the task from others.
    public var state: BatchSourceState {
        BatchSourceState(
            kind: "\(task.title): \(task.summary)", rowCount: rowCount,
            length: task.training.lengths.upperBound, seed: seed, index: index)
    }

    /// The inputs of the longest batch.
    public var tokensPerBatch: Int { rowCount * task.training.lengths.upperBound }
    /// Always 0: no example comes twice.
    public var epoch: Int { 0 }

    /// The next batch.
    public mutating func next() throws -> Batch {
        defer { index += 1 }
        return task.batch(task.training, rowCount: rowCount, seed: seed, index: index)
    }

    /// Goes to a saved place; throws `TextError.stateMismatch` if it belongs to another task, size or seed.
    public mutating func restore(_ state: BatchSourceState) throws {
        try state.check(belongsWith: self.state)
        index = max(0, state.index)
    }
}
