/// Teacher-forced figures of a batch, without gradients.
public struct T5Score: Sendable, Equatable {
    /// Summed cross entropy in nats.
    public var crossEntropy: Double
    /// Targets that had the largest logit.
    public var correctCount: Int
    /// Targets that count, sentinels and ends included.
    public var targetCount: Int

    /// Given figures; nothing scored yet, unless told otherwise.
    public init(crossEntropy: Double = 0, correctCount: Int = 0, targetCount: Int = 0) {
        self.crossEntropy = crossEntropy
        self.correctCount = correctCount
        self.targetCount = targetCount
    }
}
