import RetNetSettings

/// Which token mixer a layer has, with its sizes and choices: the one list of all architectures.
public enum MixerConfiguration: Sendable, Equatable {
    /// Gated multi-scale retention.
    case retention(RetentionConfiguration)
    /// Causal softmax attention: the Transformer's mixer.
    case attention(AttentionConfiguration)
    /// The Linear Transformer, and linear attention without its normaliser.
    case linearAttention(LinearAttentionConfiguration)
    /// The time mixing of RWKV-4.
    case rwkv(RWKVConfiguration)
    /// The channel mixing of RWKV-4: a feed-forward that looks one token back.
    case rwkvChannelMix(RWKVChannelMixConfiguration)
    /// The attention-free transformer.
    case aft(AFTConfiguration)
    /// Diagonal state spaces.
    case s4d(S4DConfiguration)
    /// Hungry Hungry Hippos.
    case h3(H3Configuration)
    /// Hyena.
    case hyena(HyenaConfiguration)
    /// Retention with data-dependent decay.
    case gatedRetention(GatedRetentionConfiguration)
    /// Gated linear attention.
    case gatedLinearAttention(GatedLinearAttentionConfiguration)
    /// Mamba-2.
    case mamba2(Mamba2Configuration)
    /// DeltaNet and Gated DeltaNet.
    case gatedDeltaNet(GatedDeltaNetConfiguration)

    /// The names of all mixers in configuration files.
    public enum Kind: String, Sendable, CaseIterable {
        /// Gated multi-scale retention.
        case retention
        /// Causal softmax attention.
        case attention
        /// The Linear Transformer, and linear attention without its normaliser.
        case linearAttention = "linear_attention"
        /// The time mixing of RWKV-4.
        case rwkv
        /// The channel mixing of RWKV-4.
        case rwkvChannelMix = "rwkv_channel_mix"
        /// The attention-free transformer.
        case aft
        /// Diagonal state spaces.
        case s4d
        /// Hungry Hungry Hippos.
        case h3
        /// Hyena.
        case hyena
        /// Retention with data-dependent decay.
        case gatedRetention = "gated_retention"
        /// Gated linear attention.
        case gatedLinearAttention = "gated_linear_attention"
        /// Mamba-2.
        case mamba2
        /// DeltaNet and Gated DeltaNet.
        case gatedDeltaNet = "gated_delta_net"
    }

    /// The name of the mixer in configuration files.
    public var kind: Kind {
        switch self {
        case .retention: .retention
        case .attention: .attention
        case .linearAttention: .linearAttention
        case .rwkv: .rwkv
        case .rwkvChannelMix: .rwkvChannelMix
        case .aft: .aft
        case .s4d: .s4d
        case .h3: .h3
        case .hyena: .hyena
        case .gatedRetention: .gatedRetention
        case .gatedLinearAttention: .gatedLinearAttention
        case .mamba2: .mamba2
        case .gatedDeltaNet: .gatedDeltaNet
        }
    }

    /// The configuration as what all architectures have in common.
    public var architecture: any MixerSpecification {
        switch self {
        case .retention(let retention): retention
        case .attention(let attention): attention
        case .linearAttention(let linear): linear
        case .rwkv(let rwkv): rwkv
        case .rwkvChannelMix(let mix): mix
        case .aft(let aft): aft
        case .s4d(let s4d): s4d
        case .h3(let h3): h3
        case .hyena(let hyena): hyena
        case .gatedRetention(let retention): retention
        case .gatedLinearAttention(let attention): attention
        case .mamba2(let mamba): mamba
        case .gatedDeltaNet(let delta): delta
        }
    }
}

extension MixerConfiguration: SettingsRepresentable {
    /// Reads `kind`, retention by default, and what that mixer has beside it.
    public init(reading reader: SettingsReader) {
        switch reader.enumeration("kind", default: Kind.retention) {
        case .retention: self = .retention(RetentionConfiguration(reading: reader))
        case .attention: self = .attention(AttentionConfiguration(reading: reader))
        case .linearAttention: self = .linearAttention(LinearAttentionConfiguration(reading: reader))
        case .rwkv: self = .rwkv(RWKVConfiguration(reading: reader))
        case .rwkvChannelMix: self = .rwkvChannelMix(RWKVChannelMixConfiguration(reading: reader))
        case .aft: self = .aft(AFTConfiguration(reading: reader))
        case .s4d: self = .s4d(S4DConfiguration(reading: reader))
        case .h3: self = .h3(H3Configuration(reading: reader))
        case .hyena: self = .hyena(HyenaConfiguration(reading: reader))
        case .gatedRetention: self = .gatedRetention(GatedRetentionConfiguration(reading: reader))
        case .gatedLinearAttention:
            self = .gatedLinearAttention(GatedLinearAttentionConfiguration(reading: reader))
        case .mamba2: self = .mamba2(Mamba2Configuration(reading: reader))
        case .gatedDeltaNet: self = .gatedDeltaNet(GatedDeltaNetConfiguration(reading: reader))
        }
    }

    /// The kind and all choices of the mixer in one object.
    public var settings: SettingsTree {
        let head: SettingsTree = ["kind": .string(kind.rawValue)]
        return head.merging(architecture.settings)
    }
}
