import Settings

/// Which token mixer a layer has, with its sizes and choices: the one list of all architectures.
public enum MixerConfiguration: Sendable, Equatable {
    /// Gated multi-scale retention.
    case retention(RetentionConfiguration)
    /// The Linear Transformer, and linear attention without its normaliser.
    case linearAttention(LinearAttentionConfiguration)
    /// The time mixing of RWKV-4.
    case rwkv(RWKVConfiguration)
    /// The attention-free transformer.
    case aft(AFTConfiguration)

    /// The names of all mixers in configuration files.
    public enum Kind: String, Sendable, CaseIterable {
        /// Gated multi-scale retention.
        case retention
        /// The Linear Transformer, and linear attention without its normaliser.
        case linearAttention = "linear_attention"
        /// The time mixing of RWKV-4.
        case rwkv
        /// The attention-free transformer.
        case aft
    }

    /// The name of the mixer in configuration files.
    public var kind: Kind {
        switch self {
        case .retention: .retention
        case .linearAttention: .linearAttention
        case .rwkv: .rwkv
        case .aft: .aft
        }
    }

    /// The configuration as what all architectures have in common.
    public var architecture: any MixerArchitecture {
        switch self {
        case .retention(let retention): retention
        case .linearAttention(let linear): linear
        case .rwkv(let rwkv): rwkv
        case .aft(let aft): aft
        }
    }
}

extension MixerConfiguration: SettingsRepresentable {
    /// Reads `kind`, retention by default, and what that mixer has beside it.
    public init(reading reader: SettingsReader) {
        switch reader.enumeration("kind", default: Kind.retention) {
        case .retention: self = .retention(RetentionConfiguration(reading: reader))
        case .linearAttention: self = .linearAttention(LinearAttentionConfiguration(reading: reader))
        case .rwkv: self = .rwkv(RWKVConfiguration(reading: reader))
        case .aft: self = .aft(AFTConfiguration(reading: reader))
        }
    }

    /// The kind and all choices of the mixer in one object.
    public var settings: SettingsTree {
        let head: SettingsTree = ["kind": .string(kind.rawValue)]
        return head.merging(architecture.settings)
    }
}
