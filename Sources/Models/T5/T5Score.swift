/// Teacher-forced figures of a batch, without gradients.
public struct T5Score: Sendable, Equatable {
    /// Summed cross entropy in nats.
    public var crossEntropy: Double
    /// Targets that had the largest logit.
    public var correctCount: Int
    /// Targets that count, sentinels and ends included.
    public var targetCount: Int
}
