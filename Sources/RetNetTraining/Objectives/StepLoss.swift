/// The loss of one step over all its passes.
public struct StepLoss: Sendable, Equatable {
    /// Mean cross entropy in nats per target.
    public var mean: Double
    /// Targets that counted.
    public var targetCount: Int
    /// The share of targets that had the largest logit; nil where that is not counted.
    public var accuracy: Double?
    /// What was added to the loss, and what else was noted, by name.
    public var auxiliary: [String: Double]

    /// Given figures.
    public init(
        mean: Double, targetCount: Int, accuracy: Double? = nil, auxiliary: [String: Double] = [:]
    ) {
        self.mean = mean
        self.targetCount = targetCount
        self.accuracy = accuracy
        self.auxiliary = auxiliary
    }
}
