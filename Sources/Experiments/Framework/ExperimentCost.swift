import Reporting

/// The work and memory of an experiment, by arithmetic.
public struct ExperimentCost: Sendable, Equatable {
    /// Model FLOPs of all training.
    public var trainingFLOPs: Double
    /// Tokens of all training.
    public var tokenCount: Double
    /// Models that are trained.
    public var modelCount: Int
    /// Bytes of weights, gradients and optimiser state of the largest model; activations come on top.
    public var largestByteCount: Int

    /// A cost of given parts.
    public init(trainingFLOPs: Double, tokenCount: Double, modelCount: Int, largestByteCount: Int) {
        self.trainingFLOPs = trainingFLOPs
        self.tokenCount = tokenCount
        self.modelCount = modelCount
        self.largestByteCount = largestByteCount
    }

    /// What to expect on hardware that computes so many useful FLOPs a second, in sentences.
    public func text(flopsPerSecond: Double) -> String {
        let seconds = trainingFLOPs / max(1, flopsPerSecond)
        return "\(modelCount) models on \(Format.count(tokenCount)) tokens in all:"
            + " \(Format.count(trainingFLOPs)) FLOP, \(Format.duration(seconds: seconds)) at"
            + " \(Format.count(flopsPerSecond)) FLOP a second. The largest model needs"
            + " \(Format.bytes(largestByteCount)) for weights, gradients and optimiser; activations come on top."
    }
}
