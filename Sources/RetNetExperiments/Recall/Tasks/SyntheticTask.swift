import RetNetText

/// A task whose examples are made up as they are needed, so that none is seen twice.
public protocol SyntheticTask: Sendable {
    /// The name in tables and plots.
    var title: String { get }
    /// All sizes in a line, which also tell tasks apart.
    var summary: String { get }
    /// The number of token ids.
    var vocabularySize: Int { get }
    /// The examples to learn from.
    var training: TaskSplit { get }
    /// The examples to be judged by; the first is that by which the task counts as solved.
    var evaluations: [TaskSplit] { get }
    /// The accuracy of the best guess that does not solve the task.
    var chance: Double { get }
    /// What that guess is, in a few words.
    var chanceMeaning: String { get }
    /// Which answers count, in a few words.
    var scored: String { get }

    /// An example of a length that the split allows; the same for the same state of the generator.
    func example(_ split: TaskSplit, length: Int, _ generator: inout SeededGenerator) -> TaskExample
}

extension SyntheticTask {
    /// A batch of examples of one length, the same for the same seed and index.
    public func batch(_ split: TaskSplit, rowCount: Int, seed: UInt64, index: Int) -> Batch {
        // Stream 0 is the one without a stream of its own.
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
