import RetNetSettings

/// The settings of the optimiser: `optimizer` in a training configuration.
public struct OptimizerConfiguration: Sendable, Equatable {
    /// The rule of updates.
    public enum Kind: String, Sendable, CaseIterable {
        /// AdamW, as in the RetNet paper.
        case adamW = "adamw"
        /// Adafactor, as T5 is trained.
        case adafactor
    }

    /// `kind`: AdamW unless told otherwise.
    public var kind = Kind.adamW
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

    /// `decay_exponent` of Adafactor: the second moments forget by 1 - t^-x; 0.8.
    public var decayExponent = 0.8
    /// `clip_threshold` of Adafactor: the largest root mean square of one parameter's update; 1.
    public var clipThreshold = 1.0
    /// `scale_by_parameter` of Adafactor: whether updates are relative to the size of the parameter; true.
    public var scalesByParameter = true
    /// `factored_size` of Adafactor: matrices with both sizes at least this keep factored moments; 128.
    public var factoredSize = 128

    /// The paper's settings.
    public init() {}

    /// Adafactor as T5X has it: a rate of 0.01, no weight decay, no clipping of the global norm.
    public static var adafactor: OptimizerConfiguration {
        var configuration = OptimizerConfiguration()
        configuration.kind = .adafactor
        configuration.learningRate = 0.01
        configuration.weightDecay = 0
        configuration.clipNorm = 0
        return configuration
    }

    /// Reads the settings, keeping present values where none are given.
    init(_ reader: SettingsReader?, defaults: OptimizerConfiguration = .init()) {
        self = defaults
        guard let reader else { return }
        kind = reader.enumeration("kind", default: kind)
        if kind == .adafactor, defaults.kind != .adafactor { self = .adafactor }
        learningRate = reader.double("learning_rate", in: SettingsRange.positive, default: learningRate)
        switch kind {
        case .adamW:
            let betas = reader.doubles(
                "betas", in: SettingsRange.belowOne, count: 2...2, default: [beta1, beta2])
            if betas.count == 2 { (beta1, beta2) = (betas[0], betas[1]) }
            epsilon = reader.double("epsilon", in: SettingsRange.positive, default: epsilon)
        case .adafactor:
            decayExponent = reader.double(
                "decay_exponent", in: SettingsRange.positive, default: decayExponent)
            clipThreshold = reader.double(
                "clip_threshold", in: SettingsRange.positive, default: clipThreshold)
            scalesByParameter = reader.bool("scale_by_parameter", default: scalesByParameter)
            factoredSize = reader.int("factored_size", in: 1...1 << 24, default: factoredSize)
        }
        weightDecay = reader.double("weight_decay", in: SettingsRange.nonNegative, default: weightDecay)
        clipNorm = reader.double("clip_norm", in: SettingsRange.nonNegative, default: clipNorm)
    }

    /// The settings as they are written to files.
    public var settings: SettingsTree {
        let head: SettingsTree = [
            "kind": .string(kind.rawValue), "learning_rate": .double(learningRate),
            "weight_decay": .double(weightDecay), "clip_norm": .double(clipNorm),
        ]
        switch kind {
        case .adamW:
            return head.merging([
                "betas": [.double(beta1), .double(beta2)], "epsilon": .double(epsilon),
            ])
        case .adafactor:
            return head.merging([
                "decay_exponent": .double(decayExponent), "clip_threshold": .double(clipThreshold),
                "scale_by_parameter": .bool(scalesByParameter), "factored_size": .int(factoredSize),
            ])
        }
    }
}
