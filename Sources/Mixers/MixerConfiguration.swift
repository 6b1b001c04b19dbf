import Settings

/// Which token mixer a layer has, with its sizes and choices: the one list of all architectures.
public enum MixerConfiguration: Sendable, Equatable {
    /// Gated multi-scale retention.
    case retention(RetentionConfiguration)
    /// Causal softmax attention: the Transformer's mixer.
    case attention(AttentionConfiguration)

    /// The names of all mixers in configuration files.
    public enum Kind: String, Sendable, CaseIterable {
        /// Gated multi-scale retention.
        case retention
        /// Causal softmax attention.
        case attention
    }

    /// The name of the mixer in configuration files.
    public var kind: Kind {
        switch self {
        case .retention: .retention
        case .attention: .attention
        }
    }

    /// The configuration as what all architectures have in common.
    public var architecture: any MixerArchitecture {
        switch self {
        case .retention(let retention): retention
        case .attention(let attention): attention
        }
    }
}

extension MixerConfiguration: SettingsRepresentable {
    /// Reads `kind`, retention by default, and what that mixer has beside it.
    public init(reading reader: SettingsReader) {
        switch reader.enumeration("kind", default: Kind.retention) {
        case .retention: self = .retention(RetentionConfiguration(reading: reader))
        case .attention: self = .attention(AttentionConfiguration(reading: reader))
        }
    }

    /// The kind and all choices of the mixer in one object.
    public var settings: SettingsTree {
        let head: SettingsTree = ["kind": .string(kind.rawValue)]
        return head.merging(architecture.settings)
    }
}
