import RetNetArchitecture
import RetNetMixers

/// The architectures of comparisons, each built to the same budget of parameters.
///
/// A block has 12 d² parameters in matrices, as a Transformer with 4 d² of attention and 8 d² of feed-forward: the
/// feed-forward has the remainder of the mixer's, in steps of a quarter of the width. All else is the same for all
/// architectures: RMS norms before mixer and feed-forward, GELU, scaled embeddings, a separate output matrix.
/// Source of the rule: RetNet (arXiv 2307.08621), section 3.5; of the sizes within mixers: each mixer's own paper.
public enum ComparedArchitecture: String, Sendable, CaseIterable {
    /// RetNet: gated multi-scale retention with values of twice the width.
    case retnet
    /// The Transformer: multi-head softmax attention with rotary positions.
    case transformer
    /// The Linear Transformer: elu + 1, normalized, with sinusoidal positions.
    case linearTransformer = "linear-transformer"
    /// RWKV-4's time mixing in place of attention, with the feed-forward of all architectures.
    case rwkv
    /// H3 with heads of width 8.
    case h3
    /// Hyena of order 2.
    case hyena
    /// AFT-simple with sinusoidal positions.
    case aft
    /// S4D with its output gated (GLU).
    case s4d
    /// Retention with data-dependent decay (YOCO's gRet).
    case gatedRetention = "gated-retention"
    /// Gated linear attention.
    case gatedLinearAttention = "gla"
    /// Mamba-2.
    case mamba2
    /// DeltaNet.
    case deltaNet = "deltanet"
    /// Gated DeltaNet.
    case gatedDeltaNet = "gated-deltanet"
    /// RetNet+: a layer of attention after every third of retention.
    case hybrid = "retnet-plus"

    /// Name in plots and tables.
    public var title: String {
        switch self {
        case .retnet: "RetNet"
        case .transformer: "Transformer"
        case .linearTransformer: "Linear Transformer"
        case .rwkv: "RWKV-4"
        case .h3: "H3"
        case .hyena: "Hyena"
        case .aft: "AFT-simple"
        case .s4d: "S4D"
        case .gatedRetention: "Gated retention"
        case .gatedLinearAttention: "GLA"
        case .mamba2: "Mamba-2"
        case .deltaNet: "DeltaNet"
        case .gatedDeltaNet: "Gated DeltaNet"
        case .hybrid: "RetNet+"
        }
    }

    /// Returns the mixer for a width; that of the first layers if there are several.
    ///
    /// `length` is that of the longest sequence, which determines the length of Hyena's filters.
    public func mixer(width: Int, length: Int, sizes: ComparedSizes) -> MixerConfiguration {
        let d = width
        switch self {
        case .retnet, .hybrid:
            let heads = sizes.heads(d, of: sizes.retentionKeySize)
            return .retention(
                RetentionConfiguration(
                    headCount: heads, keySize: d / heads, valueSize: 2 * d / heads, decay: .experiment,
                    normalization: .decay, headNorm: HeadNormConfiguration(kind: .rms, epsilon: 1e-6)))
        case .transformer:
            let heads = sizes.heads(d, of: sizes.headSize)
            return .attention(AttentionConfiguration(headCount: heads, headSize: d / heads))
        case .linearTransformer:
            let heads = sizes.heads(d, of: sizes.headSize)
            return .linearAttention(LinearAttentionConfiguration(headCount: heads, headSize: d / heads))
        case .rwkv:
            return .rwkv(RWKVConfiguration(channelCount: d))
        case .h3:
            let heads = sizes.heads(d, of: 8)
            return .h3(H3Configuration(headCount: heads, headSize: d / heads))
        case .hyena:
            return .hyena(HyenaConfiguration(channelCount: d, maximumLength: length))
        case .aft:
            return .aft(AFTConfiguration(channelCount: d, variant: .simple))
        case .s4d:
            return .s4d(S4DConfiguration(channelCount: d))
        case .gatedRetention:
            let heads = sizes.heads(d, of: sizes.retentionKeySize)
            return .gatedRetention(
                GatedRetentionConfiguration(headCount: heads, keySize: d / heads, valueSize: d / heads))
        case .gatedLinearAttention:
            return .gatedLinearAttention(
                GatedLinearAttentionConfiguration(
                    width: d, headCount: sizes.heads(d, of: sizes.retentionKeySize)))
        case .mamba2:
            return .mamba2(Mamba2Configuration(width: d, headSize: min(64, sizes.headSize)))
        case .deltaNet:
            return .gatedDeltaNet(.deltaNet(width: d, headCount: sizes.heads(d, of: sizes.headSize)))
        case .gatedDeltaNet:
            return .gatedDeltaNet(
                GatedDeltaNetConfiguration(width: d, headCount: sizes.heads(d, of: sizes.retentionKeySize)))
        }
    }

    /// The position embeddings of mixers without an order of their own.
    private var positionEmbedding: PositionEmbedding {
        switch self {
        case .linearTransformer, .aft: .sinusoidal
        default: .none
        }
    }

    /// Returns the configuration of the whole model.
    public func configuration(
        width: Int, layerCount: Int, vocabularySize: Int, trainingLength: Int, sizes: ComparedSizes = .init()
    ) -> LanguageModelConfiguration {
        let mixer = mixer(width: width, length: trainingLength, sizes: sizes)
        var configuration = LanguageModelConfiguration(
            vocabularySize: vocabularySize, hiddenSize: width, layerCount: layerCount, mixer: mixer,
            feedForward: Self.feedForward(with: mixer, width: width),
            norm: NormConfiguration(kind: .rms, epsilon: 1e-6), embeddingScale: .squareRoot,
            positionEmbedding: positionEmbedding, initialization: .torchscale, trainingLength: trainingLength)
        if self == .hybrid {
            let attention = Self.transformer.mixer(width: width, length: trainingLength, sizes: sizes)
            let layer = LayerConfiguration(
                mixer: attention, feedForward: Self.feedForward(with: attention, width: width))
            configuration.pattern =
                [LayerConfiguration](repeating: configuration.pattern[0], count: 3) + [layer]
        }
        return configuration
    }

    /// Returns the feed-forward that completes a block to 12 d², in steps of a quarter of the width.
    static func feedForward(with mixer: MixerConfiguration, width d: Int) -> FeedForwardConfiguration {
        let shapes = (try? mixer.builder.parameterShapes(hiddenSize: d)) ?? []
        let used = shapes.reduce(0) { $0 + $1.shape.reduce(1, *) }
        let step = max(1, d / 4)
        let quarters = (Double(12 * d * d - used) / Double(2 * d * step)).rounded()
        return FeedForwardConfiguration(
            kind: .plain, activation: .gelu, innerSize: max(step, Int(quarters) * step))
    }
}

/// Sizes within the mixers of a comparison, which are independent of the model's width.
public struct ComparedSizes: Sendable, Equatable {
    /// Width of a retention head's keys; its values are twice as wide.
    public var retentionKeySize: Int
    /// Width of a head of softmax attention and of other mixers with heads.
    public var headSize: Int

    /// Heads of 256 and 64: the paper's for retention and the usual ones for attention.
    public init(retentionKeySize: Int = 256, headSize: Int = 64) {
        self.retentionKeySize = retentionKeySize
        self.headSize = headSize
    }

    /// Returns the number of heads of about a size that divide a width equally; at least one.
    func heads(_ width: Int, of size: Int) -> Int {
        let wanted = max(1, width / max(1, size))
        return (1...wanted).last { width % $0 == 0 && (width / $0) % 2 == 0 } ?? 1
    }
}

/// RetNet without one of its parts: the rows of Table 6 (arXiv 2307.08621).
public enum RetNetAblation: String, Sendable, CaseIterable {
    /// No swish gate; values shrink to the width and the feed-forward grows to 4d, as in a Transformer.
    case noGate = "no-gate"
    /// No norm of the heads.
    case noHeadNorm = "no-head-norm"
    /// γ = 1: no decay.
    case noDecay = "no-decay"
    /// γ = 127/128 for all heads.
    case oneDecay = "one-decay"
    /// Four times as many heads of a quarter of the size.
    case smallHeads = "small-heads"

    /// Name in tables.
    public var title: String { rawValue.split(separator: "-").joined(separator: " ") }

    /// Returns the model without the part.
    ///
    /// Without the head norm the scale of scores reaches the output, so they are normalized by the decay alone, as in
    /// `ScoreNormalization.decay`. Throws ``PresetError/unsuitable(reason:)`` if the model is not a RetNet of equal
    /// blocks, or if its heads cannot be divided.
    public func applied(to model: LanguageModelConfiguration) throws -> LanguageModelConfiguration {
        guard model.pattern.count == 1, case .retention(var retention) = model.mixer else {
            throw PresetError.unsuitable(
                reason: "the model is not a RetNet of equal blocks: ablations need one")
        }
        var result = model
        switch self {
        case .noGate:
            retention.gate = .none
            retention.valueSize = model.hiddenSize / retention.headCount
            result.feedForward.innerSize = 4 * model.hiddenSize
        case .noHeadNorm:
            retention.headNorm = HeadNormConfiguration(kind: .none, epsilon: retention.headNorm.epsilon)
            if retention.normalization == .none { retention.normalization = .decay }
        case .noDecay:
            retention.decay = .uniform(1)
        case .oneDecay:
            retention.decay = .uniform(127.0 / 128)
        case .smallHeads:
            guard retention.keySize % 8 == 0, retention.valueSize % 4 == 0 else {
                throw PresetError.unsuitable(
                    reason:
                        "heads of \(retention.keySize) and \(retention.valueSize) cannot be divided by four")
            }
            retention.headCount *= 4
            retention.keySize /= 4
            retention.valueSize /= 4
        }
        result.mixer = .retention(retention)
        return result
    }
}
