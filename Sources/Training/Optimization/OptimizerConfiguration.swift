import Settings

/// The settings of the optimiser, AdamW: `optimizer` in a training configuration.
public struct OptimizerConfiguration: Sendable, Equatable {
    /// `learning_rate`: the peak learning rate, by default the paper's 6e-4 for 1.3 billion parameters.
    public var learningRate = 6e-4
    /// The first of `betas`: how slowly the mean of the gradients moves; 0.9 as in the paper.
    public var beta1 = 0.9
    /// The second of `betas`: how slowly the mean of their squares moves; 0.98 as in the paper.
    public var beta2 = 0.98
    /// `epsilon`: added to the root of the second moment; 1e-8, for the paper states none.
    public var epsilon = 1e-8
    /// `weight_decay`: of matrices, not of norms, biases and embeddings; 0.05 as in the paper.
    public var weightDecay = 0.05
    /// `clip_norm`: the largest global norm of the gradients, 2 as in the paper; 0 switches clipping off.
    public var clipNorm = 2.0

    /// The paper's settings.
    public init() {}

    /// Reads the settings, keeping present values where none are given.
    init(_ reader: SettingsReader?, defaults: OptimizerConfiguration = .init()) {
        self = defaults
        guard let reader else { return }
        learningRate = reader.double("learning_rate", in: SettingsRange.positive, default: learningRate)
        let betas = reader.doubles(
            "betas", in: SettingsRange.belowOne, count: 2...2, default: [beta1, beta2])
        if betas.count == 2 { (beta1, beta2) = (betas[0], betas[1]) }
        epsilon = reader.double("epsilon", in: SettingsRange.positive, default: epsilon)
        weightDecay = reader.double("weight_decay", in: SettingsRange.nonNegative, default: weightDecay)
        clipNorm = reader.double("clip_norm", in: SettingsRange.nonNegative, default: clipNorm)
    }

    /// The settings as they are written to files.
    public var settings: SettingsTree {
        [
            "learning_rate": .double(learningRate), "betas": [.double(beta1), .double(beta2)],
            "epsilon": .double(epsilon), "weight_decay": .double(weightDecay), "clip_norm": .double(clipNorm),
        ]
    }
}
