/// One example of a synthetic task.
public struct TaskExample: Sendable, Hashable {
    /// What the model reads.
    public var tokens: [Int32]
    /// What it should answer at each position; -100 where nothing is asked.
    public var targets: [Int32]

    /// An example of as many targets as tokens.
    public init(tokens: [Int32], targets: [Int32]) {
        self.tokens = tokens
        self.targets = targets
    }
}
