import RetNetText

/// The induction head: the answer is what came after the special token when it stood here for the first time.
///
/// Random ordinary tokens 0 … V-2, then the special token V-1. One of the ordinary ones, not the last two, is
/// replaced by the special one; the answer at the end is the token after it.
/// Source: Fu et al., arXiv 2212.14052, and the generator of its repository (safari).
public struct InductionHead: SyntheticTask {
    /// V, the number of token ids, the special one included.
    public let vocabularySize: Int
    /// T, the tokens of an example in training, the final special one included.
    public let length: Int
    /// By what the length is multiplied for the evaluations.
    public let factors: [Int]

    /// A task of given sizes, judged at the training length, twice and four times it unless told otherwise.
    ///
    /// Throws ``ExperimentError/unusable(_:)`` for fewer than 3 ids, 4 tokens or no factor.
    public init(vocabularySize: Int, length: Int, factors: [Int] = [1, 2, 4]) throws {
        guard (3...1 << 24).contains(vocabularySize), (4...1 << 24).contains(length), !factors.isEmpty,
            factors.allSatisfy((1...1 << 16).contains)
        else {
            throw ExperimentError.unusable(
                "an induction head needs a vocabulary of at least 3, examples of at least 4 tokens and lengths"
            )
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
    /// The one length.
    public var training: TaskSplit { TaskSplit(name: "length \(length)", length: length) }
    /// The training length and its multiples.
    public var evaluations: [TaskSplit] {
        factors.map { TaskSplit(name: "length \($0 * length)", length: $0 * length) }
    }
    /// One of the ordinary tokens.
    public var chance: Double { 1 / Double(vocabularySize - 1) }
    /// Any ordinary token.
    public var chanceMeaning: String { "any ordinary token" }
    /// The last position.
    public var scored: String { "the last position" }

    /// An example of a length.
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
