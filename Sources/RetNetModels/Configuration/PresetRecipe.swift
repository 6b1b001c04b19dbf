/// How a preset is trained: the published values, or proposals where ``isPublished`` is false.
public struct PresetRecipe: Sendable, Equatable {
    /// The learning rate after warm-up.
    public var peakLearningRate: Double
    /// Steps during which the learning rate grows linearly from 0.
    public var warmupSteps: Int
    /// Steps of the whole training.
    public var steps: Int
    /// Tokens of one step, all sequences together.
    public var tokensPerStep: Int
    /// Tokens of one sequence.
    public var sequenceLength: Int
    /// Weight decay of AdamW.
    public var weightDecay: Double
    /// The decays of AdamW's first and second moment.
    public var betas: [Double]
    /// The largest norm of all gradients together.
    public var gradientClip: Double
    /// Whether these values come from the source of the preset, as far as it states them.
    public var isPublished: Bool

    /// A recipe; what is not given is as in the papers' tables.
    public init(
        peakLearningRate: Double, warmupSteps: Int = 375, steps: Int, tokensPerStep: Int,
        sequenceLength: Int = 2048, weightDecay: Double = 0.05, betas: [Double] = [0.9, 0.98],
        gradientClip: Double = 2, isPublished: Bool
    ) {
        self.peakLearningRate = peakLearningRate
        self.warmupSteps = warmupSteps
        self.steps = steps
        self.tokensPerStep = tokensPerStep
        self.sequenceLength = sequenceLength
        self.weightDecay = weightDecay
        self.betas = betas
        self.gradientClip = gradientClip
        self.isPublished = isPublished
    }
}
