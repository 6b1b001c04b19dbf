/// What one step of training did.
public struct TrainingStep: Sendable, Equatable {
    /// The number of the step, counted from 1 over the whole run.
    public var step: Int
    /// Mean loss in nats per token over all micro-batches, before the update.
    public var loss: Double
    /// The global norm of the gradients before clipping.
    public var gradientNorm: Double
    /// The learning rate of the update.
    public var learningRate: Double
    /// How many targets counted in this step.
    public var tokenCount: Int
    /// How many targets counted in the whole run so far.
    public var totalTokenCount: Int
    /// Why the update was left out, or nil when it was made.
    public var skipReason: String?
    /// The share of targets that had the largest logit; nil where that is not counted.
    public var accuracy: Double?
    /// Losses that layers added to the model's own, and what else they noted, by name.
    public var auxiliary: [String: Double] = [:]
}
