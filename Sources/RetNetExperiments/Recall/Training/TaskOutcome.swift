/// What a model has learnt of a synthetic task.
public struct TaskOutcome: Sendable, Equatable {
    /// The share of right answers on test examples of each evaluation, in the task's order.
    public var accuracies: [Double]
    /// The best validation accuracy of the first evaluation; what learning rates are chosen by.
    public var validation: Double
    /// The first step at which the first evaluation reached the goal; nil if none did.
    public var stepsToGoal: Int?
    /// The steps that were made.
    public var stepCount: Int
    /// The peak learning rate.
    public var learningRate: Double
    /// Whether training was given up because losses or gradients were not finite.
    public var diverged: Bool
    /// Trained numbers.
    public var parameterCount: Int
    /// Seconds of training and evaluation.
    public var seconds: Double
}
