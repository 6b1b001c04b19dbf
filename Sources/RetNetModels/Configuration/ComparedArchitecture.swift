import RetNetMixers

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
    /// H3 with heads of width 8.
    case h3
    /// Hyena of order 2.
    case hyena
    /// AFT-simple with sinusoidal positions.
    case aft
    /// S4D with its output gated (GLU).
    case s4d
    /// Retention whose decay depends on the data (YOCO's gRet).
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

    /// The name in plots and tables.
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

    /// The mixer for a width; that of the first layers where there are several.
    ///
    /// `length` is the longest sequence, which Hyena's filters are made for.
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
        let mixer = mixer(width: width, length: trainingLength, sizes: sizes)
        var configuration = LanguageModelConfiguration(
            vocabularySize: vocabularySize, hiddenSize: width, layerCount: layerCount, mixer: mixer,
            feedForward: Self.feedForward(beside: mixer, width: width),
            norm: NormConfiguration(kind: .rms, epsilon: 1e-6), embeddingScale: .squareRoot,
            positionEmbedding: positionEmbedding, initialization: .torchscale, trainingLength: trainingLength)
        if self == .hybrid {
            let attention = Self.transformer.mixer(width: width, length: trainingLength, sizes: sizes)
            let layer = LayerConfiguration(
                mixer: attention, feedForward: Self.feedForward(beside: attention, width: width))
            configuration.pattern =
                [LayerConfiguration](repeating: configuration.pattern[0], count: 3) + [layer]
        }
        return configuration
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
