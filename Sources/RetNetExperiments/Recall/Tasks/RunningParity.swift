import RetNetText

/// Running parity: after every bit, whether the number of ones so far is odd.
///
/// Trained on short examples and judged only at positions beyond their length, for short ones can be learnt by
/// heart. Source of the task and of the mixed lengths: Grazzi et al., arXiv 2411.12537.
public struct RunningParity: SyntheticTask {
    /// The lengths of examples in training.
    public let lengths: ClosedRange<Int>
    /// The length of examples that are judged.
    public let evaluationLength: Int

    /// A task of given lengths; throws ``ExperimentError/unusable(_:)`` unless evaluation reaches beyond training.
    public init(lengths: ClosedRange<Int>, evaluationLength: Int) throws {
        guard lengths.lowerBound > 0, evaluationLength > lengths.upperBound, evaluationLength <= 1 << 24
        else {
            throw ExperimentError.unusable(
                "parity is judged beyond the training length, but \(evaluationLength) is not beyond"
                    + " \(lengths.upperBound)")
        }
        self.lengths = lengths
        self.evaluationLength = evaluationLength
    }

    /// Bits.
    public var vocabularySize: Int { 2 }
    /// Parity.
    public var title: String { "Parity" }
    /// The lengths.
    public var summary: String {
        lengths.count == 1
            ? "trained at T \(lengths.upperBound)"
            : "trained at T \(lengths.lowerBound) to \(lengths.upperBound)"
    }
    /// All positions of short examples.
    public var training: TaskSplit { TaskSplit(name: "training", lengths: lengths) }
    /// Positions beyond the training length, and the last ones within it.
    public var evaluations: [TaskSplit] {
        let end = lengths.upperBound
        let first = max(0, end - 4)
        return [
            TaskSplit(
                name: "positions \(end + 1) to \(evaluationLength)", length: evaluationLength,
                firstScored: end),
            TaskSplit(name: "positions \(first + 1) to \(end)", length: end, firstScored: first),
        ]
    }
    /// Even or odd.
    public var chance: Double { 0.5 }
    /// A coin.
    public var chanceMeaning: String { "a coin" }
    /// Positions beyond training.
    public var scored: String { "positions beyond the training length" }

    /// An example of a length.
    public func example(_ split: TaskSplit, length: Int, _ generator: inout SeededGenerator) -> TaskExample {
        var parity: Int32 = 0
        var example = TaskExample(tokens: [], targets: [])
        for position in 0..<length {
            let bit = Int32(generator.integer(below: 2))
            parity ^= bit
            example.tokens.append(bit)
            example.targets.append(position < split.firstScored ? Batch.ignoredTarget : parity)
        }
        return example
    }
}
