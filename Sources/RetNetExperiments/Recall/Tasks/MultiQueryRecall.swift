import Foundation
import RetNetText

/// Multi-query associative recall (MQAR): key-value pairs, then some of the keys again in gaps of all lengths.
///
/// 1. P distinct keys of 1 … V/2-1 and P distinct values of V/2 … V-1 alternate at positions 0 … 2P-1.
/// 2. The rest has (T-2P)/2 slots of two tokens; P distinct ones are drawn, slot g with weight (g+1)^(a-1).
/// 3. Key i stands at position 2P + 2 slot_i, where its value is asked for.
/// 4. All other tokens are 0, or random ones of the whole vocabulary, which is harder.
///
/// Source: Arora et al., arXiv 2312.04927, and the generator of its repository (zoology).
public struct MultiQueryRecall: SyntheticTask {
    /// V, the number of token ids, more than the tokens of an example.
    public let vocabularySize: Int
    /// T, the tokens of an example.
    public let length: Int
    /// P, the number of pairs.
    public let pairCount: Int
    /// a, the exponent of the slots: 1 draws evenly, less prefers early ones.
    public let exponent: Double
    /// Whether tokens that ask nothing are random instead of 0.
    public let randomFillers: Bool
    /// Other (length, pairs) to be judged by besides the training sizes.
    private let longer: [TaskSplit]

    /// A task of given sizes, with the generator's a = 0.01 and zeros between the queries unless told otherwise.
    ///
    /// Throws ``ExperimentError/unusable(_:)`` unless T is even, 4P ≤ T < V and P is at least 1.
    public init(
        vocabularySize: Int, length: Int, pairCount: Int, exponent: Double = 0.01,
        randomFillers: Bool = false,
        longerLengths: [Int] = []
    ) throws {
        let lengths = [length] + longerLengths
        guard pairCount > 0, exponent.isFinite, vocabularySize <= 1 << 24,
            lengths.allSatisfy({ $0 % 2 == 0 && $0 / 4 >= pairCount && $0 < vocabularySize })
        else {
            throw ExperimentError.unusable(
                "recall of \(pairCount) pairs in \(length) tokens of \(vocabularySize) cannot be made: lengths must"
                    + " be even, at least four times the pairs and below the vocabulary")
        }
        self.vocabularySize = vocabularySize
        self.length = length
        self.pairCount = pairCount
        self.exponent = exponent
        self.randomFillers = randomFillers
        longer = longerLengths.map { TaskSplit(name: "length \($0)", length: $0) }
    }

    /// MQAR.
    public var title: String { "MQAR" }
    /// The sizes.
    public var summary: String {
        "V \(vocabularySize), T \(length), \(pairCount) pairs, a \(exponent),"
            + (randomFillers ? " random fillers" : " zeros between")
    }
    /// The one length.
    public var training: TaskSplit { TaskSplit(name: "length \(length)", length: length) }
    /// The training length and the longer ones.
    public var evaluations: [TaskSplit] { [training] + longer }
    /// One value of the pairs.
    public var chance: Double { 1 / Double(pairCount) }
    /// A value seen in the example.
    public var chanceMeaning: String { "a value seen in the example" }
    /// Every query.
    public var scored: String { "all \(pairCount) queries of an example" }

    /// An example of a length.
    public func example(_ split: TaskSplit, length: Int, _ generator: inout SeededGenerator) -> TaskExample {
        let half = vocabularySize / 2
        let keys = Self.distinct(pairCount, from: 1..<half, &generator)
        let values = Self.distinct(pairCount, from: half..<vocabularySize, &generator)
        var tokens = [Int32](repeating: 0, count: length)
        var targets = [Int32](repeating: Batch.ignoredTarget, count: length)
        if randomFillers {
            for position in tokens.indices {
                tokens[position] = Int32(generator.integer(below: vocabularySize))
            }
        }
        for (index, (key, value)) in zip(keys, values).enumerated() {
            tokens[2 * index] = key
            tokens[2 * index + 1] = value
        }
        let slots = slots(count: (length - 2 * pairCount) / 2, &generator)
        for (index, slot) in slots.enumerated() {
            let position = 2 * pairCount + 2 * slot
            tokens[position] = keys[index]
            targets[position] = values[index]
        }
        return TaskExample(tokens: tokens, targets: targets)
    }

    /// P distinct slots in the order of successive draws, each with weight (g+1)^(a-1) among those left.
    ///
    /// The first of independent exponential clocks of such rates rings with just these probabilities.
    func slots(count: Int, _ generator: inout SeededGenerator) -> [Int] {
        let times = (0..<count).map { slot in
            -log(1 - generator.unitDouble()) * pow(Double(slot + 1), 1 - exponent)
        }
        let order = times.indices.sorted { (times[$0], $0) < (times[$1], $1) }
        return Array(order.prefix(pairCount))
    }

    /// Distinct numbers of a range in random order.
    private static func distinct(_ count: Int, from range: Range<Int>, _ generator: inout SeededGenerator)
        -> [Int32]
    {
        // The head of a Fisher-Yates shuffle; what it moved is remembered sparsely, for ranges may be large.
        var moved: [Int: Int] = [:]
        return (0..<min(count, range.count)).map { index in
            let pick = index + generator.integer(below: range.count - index)
            let result = moved[pick] ?? pick
            moved[pick] = moved[index] ?? index
            return Int32(range.lowerBound + result)
        }
    }
}
