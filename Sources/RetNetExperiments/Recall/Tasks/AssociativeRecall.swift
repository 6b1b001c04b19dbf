import RetNetText

/// Associative recall: pairs of a map drawn anew for each example, then one of its keys, whose value is asked for.
///
/// Ordinary tokens are 0 … V-3, the lower half keys, the upper half values; V-2 separates, V-1 is never used. Keys
/// come with repetition, and several keys may have the same value. Training asks for the next token everywhere, as
/// a language model does; only the last answer is judged.
/// Source: Fu et al., arXiv 2212.14052, and the generator of its repository (safari).
public struct AssociativeRecall: SyntheticTask {
    /// V, the number of token ids, separator and unused one included.
    public let vocabularySize: Int
    /// The tokens of all pairs together.
    public let pairLength: Int

    /// A task of given sizes, 20 pairs of 9 keys and 9 values unless told otherwise.
    ///
    /// Throws ``ExperimentError/unusable(_:)`` for an odd length or a vocabulary below 6 or odd.
    public init(vocabularySize: Int = 20, pairLength: Int = 40) throws {
        guard vocabularySize % 2 == 0, (6...1 << 24).contains(vocabularySize), pairLength % 2 == 0,
            (2...1 << 24).contains(pairLength)
        else {
            throw ExperimentError.unusable(
                "associative recall needs an even vocabulary of at least 6 and an even length of at least 2")
        }
        self.vocabularySize = vocabularySize
        self.pairLength = pairLength
    }

    /// The number of keys, and of values.
    public var keyCount: Int { (vocabularySize - 2) / 2 }
    /// The token between pairs and question.
    public var separator: Int32 { Int32(vocabularySize - 2) }
    /// Associative recall.
    public var title: String { "Associative recall" }
    /// The sizes.
    public var summary: String { "V \(vocabularySize), \(pairLength / 2) pairs" }
    /// Every next token.
    public var training: TaskSplit { TaskSplit(name: "training", length: pairLength + 2) }
    /// The last answer.
    public var evaluations: [TaskSplit] {
        [
            TaskSplit(
                name: "length \(pairLength + 2)", length: pairLength + 2, firstScored: pairLength + 1)
        ]
    }
    /// One of the values.
    public var chance: Double { 1 / Double(keyCount) }
    /// Any value.
    public var chanceMeaning: String { "any value" }
    /// The last position.
    public var scored: String { "the last position" }

    /// An example of a length.
    public func example(_ split: TaskSplit, length: Int, _ generator: inout SeededGenerator) -> TaskExample {
        let map = (0..<keyCount).map { _ in Int32(keyCount + generator.integer(below: keyCount)) }
        var tokens: [Int32] = []
        var seen: [Int] = []
        for _ in 0..<(length - 2) / 2 {
            let key = generator.integer(below: keyCount)
            seen.append(key)
            tokens += [Int32(key), map[key]]
        }
        // Any key that occurred is asked for as often as any other, however often it occurred.
        let distinct = Array(Set(seen)).sorted()
        let asked = distinct[generator.integer(below: distinct.count)]
        tokens += [separator, Int32(asked)]
        let next = tokens.dropFirst() + [map[asked]]
        let targets = next.enumerated().map {
            $0.offset < split.firstScored ? Batch.ignoredTarget : $0.element
        }
        return TaskExample(tokens: tokens, targets: targets)
    }
}
