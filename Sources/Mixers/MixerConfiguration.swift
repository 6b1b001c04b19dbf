import Settings

/// Which token mixer a layer has, with its sizes and choices: the one list of all architectures.
public enum MixerConfiguration: Sendable, Equatable {
    /// Gated multi-scale retention.
    case retention(RetentionConfiguration)
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
        case .gatedRetention: .gatedRetention
        case .gatedLinearAttention: .gatedLinearAttention
        case .mamba2: .mamba2
        case .gatedDeltaNet: .gatedDeltaNet
        }
    }

    /// The configuration as what all architectures have in common.
    public var architecture: any MixerArchitecture {
        switch self {
        case .retention(let retention): retention
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
