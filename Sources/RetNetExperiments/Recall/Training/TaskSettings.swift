/// How a model learns a synthetic task.
public struct TaskSettings: Sendable, Equatable {
    /// The most steps that are made.
    public var stepCount: Int
    /// Fresh examples of a step.
    public var batchSize = 64
    /// The peak learning rate.
    public var learningRate: Double
    /// The weight decay of matrices.
    public var weightDecay = 0.1
    /// Steps until the peak is reached; at most a tenth of all.
    public var warmupStepCount = 100
    /// Steps between two looks at the validation examples.
    public var evaluationInterval = 50
    /// Validation examples of each kind, which are never trained on.
    public var validationCount = 256
    /// Test examples of each kind, other ones than those of validation.
    public var testCount = 1024
    /// Steps that are still made once the first evaluation has reached the goal, for the others to follow; nil:
    /// as many as there are.
    public var extraStepCount: Int?
    /// The accuracy at which the task counts as solved.
    public var goal = 0.99

    /// The settings of the calibration, for a number of steps and a rate.
    public init(stepCount: Int, learningRate: Double) {
        self.stepCount = stepCount
        self.learningRate = learningRate
    }
}
