import Mixers

/// The architectures that are compared with each other, each built to the same budget of parameters.
///
/// A block has 12 d² parameters in matrices, as a Transformer's 4 d² of attention and 8 d² of feed-forward: the
/// feed-forward takes what the mixer leaves, in steps of a quarter of the width. Everything around the mixer is
/// the same for all: RMS norms before mixer and feed-forward, GELU, scaled embeddings, a separate output matrix.
/// Source of the rule: RetNet (arXiv 2307.08621), section 3.5; of the sizes within mixers: each mixer's own paper.
public enum ComparedArchitecture: String, Sendable, CaseIterable {
    /// RetNet: gated multi-scale retention with values of twice the width.
    case retnet
    /// The Transformer: multi-head softmax attention with rotary positions.
    case transformer
    /// The Linear Transformer: elu + 1, normalised, with sinusoidal positions.
    case linearTransformer = "linear-transformer"
    /// RWKV-4's time mixing in the place of attention; the feed-forward is the shared one.
    case rwkv
    /// AFT-simple with sinusoidal positions.
    case aft

    /// The name in plots and tables.
    public var title: String {
        switch self {
        case .retnet: "RetNet"
        case .transformer: "Transformer"
        case .linearTransformer: "Linear Transformer"
        case .rwkv: "RWKV-4"
        case .aft: "AFT-simple"
        }
    }

    /// The mixer for a width.
    public func mixer(width: Int, sizes: ComparedSizes) -> MixerConfiguration {
        let d = width
        switch self {
        case .retnet:
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
        case .aft:
            return .aft(AFTConfiguration(channelCount: d, variant: .simple))
        }
    }

    /// What is added to embeddings for mixers that know nothing of positions.
    private var positionEmbedding: PositionEmbedding {
        switch self {
        case .linearTransformer, .aft: .sinusoidal
        default: .none
        }
    }

    /// The whole model.
    public func configuration(
        width: Int, layerCount: Int, vocabularySize: Int, trainingLength: Int, sizes: ComparedSizes = .init()
    ) -> LanguageModelConfiguration {
        let mixer = mixer(width: width, sizes: sizes)
        return LanguageModelConfiguration(
            vocabularySize: vocabularySize, hiddenSize: width, layerCount: layerCount, mixer: mixer,
            feedForward: Self.feedForward(beside: mixer, width: width),
            norm: NormConfiguration(kind: .rms, epsilon: 1e-6), embeddingScale: .squareRoot,
            positionEmbedding: positionEmbedding, initialization: .torchscale, trainingLength: trainingLength)
    }

    /// The feed-forward that brings a block to 12 d², in steps of a quarter of the width.
    static func feedForward(beside mixer: MixerConfiguration, width d: Int) -> FeedForwardConfiguration {
        let used = mixer.architecture.parameterShapes(hiddenSize: d).reduce(0) { $0 + $1.shape.reduce(1, *) }
        let step = max(1, d / 4)
        let quarters = (Double(12 * d * d - used) / Double(2 * d * step)).rounded()
        return FeedForwardConfiguration(
            kind: .plain, activation: .gelu, innerSize: max(step, Int(quarters) * step))
    }
}
