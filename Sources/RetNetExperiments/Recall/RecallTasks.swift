import Foundation
import RetNetText

/// Multi-query associative recall (MQAR): key-value pairs, then the keys again after gaps of different lengths.
///
/// 1. P distinct keys of 1 … V/2-1 and P distinct values of V/2 … V-1 alternate at positions 0 … 2P-1.
/// 2. The rest has (T-2P)/2 slots of two tokens; P distinct ones are drawn, slot g with weight (g+1)^(a-1).
/// 3. Key i is at position 2P + 2 slot_i, and the target there is its value.
/// 4. All other tokens are 0, or random tokens of the whole vocabulary, which is harder.
///
/// Source: Arora et al., arXiv 2312.04927, and the generator of its repository (zoology).
public struct MultiQueryRecall: SyntheticTask {
    /// V, the number of token ids; larger than T.
    public let vocabularySize: Int
    /// T, the number of tokens per example.
    public let length: Int
    /// P, the number of pairs.
    public let pairCount: Int
    /// a, the exponent of the weights of slots: 1 for equal weights, less to prefer early slots.
    public let exponent: Double
    /// True if tokens other than pairs and queries are random instead of 0.
    public let randomFillers: Bool
    /// Evaluations in addition to the training length.
    private let longer: [TaskSplit]

    /// Creates a task; by default with a = 0.01 as in the generator of the paper, and zeros between the queries.
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
                "unusable sizes of recall: \(pairCount) pairs in \(length) tokens with a vocabulary of"
                    + " \(vocabularySize); lengths must be even, at least four times the number of pairs and below the"
                    + " vocabulary size")
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
    /// Examples of length T.
    public var training: TaskSplit { TaskSplit(name: "length \(length)", length: length) }
    /// The training length and longer ones.
    public var evaluations: [TaskSplit] { [training] + longer }
    /// 1/P.
    public var chance: Double { 1 / Double(pairCount) }
    /// A value of the example.
    public var chanceMeaning: String { "a value seen in the example" }
    /// All queries.
    public var scored: String { "all \(pairCount) queries of an example" }

    /// Returns an example of a length.
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

    /// Returns P distinct slots in the order of successive draws, with weights (g+1)^(a-1) among the remaining slots.
    ///
    /// Sorting independent exponential variables with these rates gives exactly these probabilities.
    func slots(count: Int, _ generator: inout SeededGenerator) -> [Int] {
        let times = (0..<count).map { slot in
            -log(1 - generator.unitDouble()) * pow(Double(slot + 1), 1 - exponent)
        }
        let order = times.indices.sorted { (times[$0], $0) < (times[$1], $1) }
        return Array(order.prefix(pairCount))
    }

    /// Returns distinct numbers of a range in random order.
    private static func distinct(_ count: Int, from range: Range<Int>, _ generator: inout SeededGenerator)
        -> [Int32]
    {
        // The start of a Fisher-Yates shuffle; a dictionary holds the moved numbers, because ranges may be large.
        var moved: [Int: Int] = [:]
        return (0..<min(count, range.count)).map { index in
            let pick = index + generator.integer(below: range.count - index)
            let result = moved[pick] ?? pick
            moved[pick] = moved[index] ?? index
            return Int32(range.lowerBound + result)
        }
    }
}

/// Associative recall: pairs of a random map, then one of its keys, whose value is the answer.
///
/// Ordinary tokens are 0 … V-3, the lower half keys, the upper half values; V-2 is a separator, V-1 is unused. Keys
/// repeat, and several keys may have the same value. In training, the target of every position is the next token, as for
/// a language model; only the last answer is scored.
/// Source: Fu et al., arXiv 2212.14052, and the generator of its repository (safari).
public struct AssociativeRecall: SyntheticTask {
    /// V, the number of token ids, including separator and unused token.
    public let vocabularySize: Int
    /// The number of tokens of all pairs.
    public let pairLength: Int

    /// Creates a task; by default with 20 pairs of 9 keys and 9 values.
    ///
    /// Throws ``ExperimentError/unusable(_:)`` for an odd length or a vocabulary below 6 or odd.
    public init(vocabularySize: Int = 20, pairLength: Int = 40) throws {
        guard vocabularySize % 2 == 0, (6...1 << 24).contains(vocabularySize), pairLength % 2 == 0,
            (2...1 << 24).contains(pairLength)
        else {
            throw ExperimentError.unusable(
                "associative recall needs an even vocabulary size of at least 6 and an even length of at least 2"
            )
        }
        self.vocabularySize = vocabularySize
        self.pairLength = pairLength
    }

    /// The number of keys, which is also the number of values.
    public var keyCount: Int { (vocabularySize - 2) / 2 }
    /// The token between pairs and query.
    public var separator: Int32 { Int32(vocabularySize - 2) }
    /// Associative recall.
    public var title: String { "Associative recall" }
    /// The sizes.
    public var summary: String { "V \(vocabularySize), \(pairLength / 2) pairs" }
    /// Examples with every next token as target.
    public var training: TaskSplit { TaskSplit(name: "training", length: pairLength + 2) }
    /// Examples with the last answer as target.
    public var evaluations: [TaskSplit] {
        [
            TaskSplit(
                name: "length \(pairLength + 2)", length: pairLength + 2, firstScored: pairLength + 1)
        ]
    }
    /// One divided by the number of values.
    public var chance: Double { 1 / Double(keyCount) }
    /// Any value.
    public var chanceMeaning: String { "any value" }
    /// The last position.
    public var scored: String { "the last position" }

    /// Returns an example of a length.
    public func example(_ split: TaskSplit, length: Int, _ generator: inout SeededGenerator) -> TaskExample {
        let map = (0..<keyCount).map { _ in Int32(keyCount + generator.integer(below: keyCount)) }
        var tokens: [Int32] = []
        var seen: [Int] = []
        for _ in 0..<(length - 2) / 2 {
            let key = generator.integer(below: keyCount)
            seen.append(key)
            tokens += [Int32(key), map[key]]
        }
        // All keys of the example have the same probability, regardless of how often they occur.
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

/// The induction head: the answer is the token after the first occurrence of the special token.
///
/// Random ordinary tokens 0 … V-2, then the special token V-1. The special token also replaces one of the ordinary
/// tokens except the last two; the answer at the end is the token after it.
/// Source: Fu et al., arXiv 2212.14052, and the generator of its repository (safari).
public struct InductionHead: SyntheticTask {
    /// V, the number of token ids, including the special token.
    public let vocabularySize: Int
    /// T, the number of tokens per training example, including the final special token.
    public let length: Int
    /// Factors of the length for the evaluations.
    public let factors: [Int]

    /// Creates a task; by default scored at the training length and at two and four times that length.
    ///
    /// Throws ``ExperimentError/unusable(_:)`` for fewer than 3 ids, 4 tokens or no factor.
    public init(vocabularySize: Int, length: Int, factors: [Int] = [1, 2, 4]) throws {
        guard (3...1 << 24).contains(vocabularySize), (4...1 << 24).contains(length), !factors.isEmpty,
            factors.allSatisfy((1...1 << 16).contains)
        else {
            throw ExperimentError.unusable(
                "an induction head needs a vocabulary size of at least 3, examples of at least 4 tokens and at least one"
                    + " factor of the length")
        }
        self.vocabularySize = vocabularySize
        self.length = length
        self.factors = factors
    }

    /// The special token.
    public var specialToken: Int32 { Int32(vocabularySize - 1) }
    /// Induction head.
    public var title: String { "Induction head" }
    /// The sizes.
    public var summary: String { "V \(vocabularySize), trained at T \(length)" }
    /// Examples of length T.
    public var training: TaskSplit { TaskSplit(name: "length \(length)", length: length) }
    /// The training length and its multiples.
    public var evaluations: [TaskSplit] {
        factors.map { TaskSplit(name: "length \($0 * length)", length: $0 * length) }
    }
    /// One divided by the number of ordinary tokens.
    public var chance: Double { 1 / Double(vocabularySize - 1) }
    /// Any ordinary token.
    public var chanceMeaning: String { "any ordinary token" }
    /// The last position.
    public var scored: String { "the last position" }

    /// Returns an example of a length.
    public func example(_ split: TaskSplit, length: Int, _ generator: inout SeededGenerator) -> TaskExample {
        let count = length - 1
        var tokens = (0..<count).map { _ in Int32(generator.integer(below: vocabularySize - 1)) }
        let place = generator.integer(below: count - 2)
        tokens[place] = specialToken
        tokens.append(specialToken)
        var targets = [Int32](repeating: Batch.ignoredTarget, count: length)
        targets[count] = tokens[place + 1]
        return TaskExample(tokens: tokens, targets: targets)
    }
}

/// Running parity: the answer after every bit is 1 if the number of ones so far is odd.
///
/// Training examples are short, and only positions beyond their length are scored, because short examples can be
/// memorized. Source of the task and of the mixed lengths: Grazzi et al., arXiv 2411.12537.
public struct RunningParity: SyntheticTask {
    /// The lengths of training examples.
    public let lengths: ClosedRange<Int>
    /// The length of scored examples.
    public let evaluationLength: Int

    /// Creates a task; throws ``ExperimentError/unusable(_:)`` unless the evaluation length exceeds the training length.
    public init(lengths: ClosedRange<Int>, evaluationLength: Int) throws {
        guard lengths.lowerBound > 0, evaluationLength > lengths.upperBound, evaluationLength <= 1 << 24
        else {
            throw ExperimentError.unusable(
                "parity is scored beyond the training length: the evaluation length \(evaluationLength) must exceed"
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
    /// Short examples with a target at every position.
    public var training: TaskSplit { TaskSplit(name: "training", lengths: lengths) }
    /// Positions beyond the training length, and the last positions within it.
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
    /// One half.
    public var chance: Double { 0.5 }
    /// A coin.
    public var chanceMeaning: String { "a coin" }
    /// Positions beyond the training length.
    public var scored: String { "positions beyond the training length" }

    /// Returns an example of a length.
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
