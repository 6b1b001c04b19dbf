import RetNetTorch

/// The summed loss of a batch.
public struct T5Loss {
    /// What to differentiate: the cross entropy in nats and the z-loss of all counted targets together.
    ///
    /// T5X minimises this sum, since Adafactor does not mind its scale; divide by ``targetCount`` for Adam.
    public let sum: Tensor
    /// The cross entropy in nats alone, without gradients.
    public let crossEntropy: Tensor
    /// Targets that had the largest logit, without gradients; nil where they were not counted.
    public let correctCount: Tensor?
    /// Targets that count.
    public let targetCount: Int
}
