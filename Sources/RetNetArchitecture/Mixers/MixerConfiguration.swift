import RetNetSettings

/// The token mixer of a layer with its sizes and choices: the single list of architectures.
public enum MixerConfiguration: Sendable, Equatable {
    /// Gated multi-scale retention.
    case retention(RetentionConfiguration)
    /// Causal softmax attention: the Transformer's mixer.
    case attention(AttentionConfiguration)
    /// The Linear Transformer, and linear attention without its normalizer.
    case linearAttention(LinearAttentionConfiguration)
    /// The time mixing of RWKV-4.
    case rwkv(RWKVConfiguration)
    /// The channel mixing of RWKV-4: a feed-forward that reads the previous token too.
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

    /// The specification of the mixer, through which all architectures are used.
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

    /// The names of all mixers in configuration files.
    public enum Kind: String, Sendable, CaseIterable {
        /// Gated multi-scale retention.
        case retention
        /// Causal softmax attention.
        case attention
        /// The Linear Transformer, and linear attention without its normalizer.
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

        /// The type with the settings of the mixer.
        var specification: any MixerSpecification.Type {
            switch self {
            case .retention: RetentionConfiguration.self
            case .attention: AttentionConfiguration.self
            case .linearAttention: LinearAttentionConfiguration.self
            case .rwkv: RWKVConfiguration.self
            case .rwkvChannelMix: RWKVChannelMixConfiguration.self
            case .aft: AFTConfiguration.self
            case .s4d: S4DConfiguration.self
            case .h3: H3Configuration.self
            case .hyena: HyenaConfiguration.self
            case .gatedRetention: GatedRetentionConfiguration.self
            case .gatedLinearAttention: GatedLinearAttentionConfiguration.self
            case .mamba2: Mamba2Configuration.self
            case .gatedDeltaNet: GatedDeltaNetConfiguration.self
            }
        }
    }
}

extension MixerConfiguration: SettingsRepresentable, SettingsDocumented {
    /// Reads `kind`, retention by default, and the settings of that mixer from the same object.
    public init(reading reader: SettingsReader) {
        let kind = reader.enumeration("kind", default: Kind.retention)
        self = kind.specification.init(reading: reader).configuration
    }

    /// The kind and all settings of the mixer in one object.
    public var settings: SettingsTree {
        let head: SettingsTree = ["kind": .string(kind.rawValue)]
        return head.merging(architecture.settings)
    }

    /// The kind, and the settings of every mixer under the condition of its kind.
    public static var settingsRows: [SettingsRow] {
        let kind = SettingsRow(
            path: "kind", values: SettingsReader.names(of: Kind.self), defaultText: Kind.retention.rawValue,
            help: "Token mixer of the layer.")
        return [kind]
            + Kind.allCases.flatMap { kind in
                kind.specification.settingsRows.map { row in
                    var row = row
                    row.condition = (["kind: \(kind.rawValue)"] + (row.condition.map { [$0] } ?? []))
                        .joined(separator: ", ")
                    return row
                }
            }
    }
}

// MARK: Declarations that mixers share

/// Sizes that mixers allow in their settings.
enum MixerSizes {
    /// Counts and sizes of heads.
    static let heads = 1...1 << 16
    /// Channels of mixers without heads.
    static let channels = 1...maximumWidth
    /// Taps of short convolutions; 1 is none.
    static let taps = 1...64
    /// The largest width of all heads together.
    static let maximumWidth = 1 << 20
}

extension Setting {
    /// The norm per head; a given object is read over the defaults of the norm itself, not of the mixer.
    static func headNorm(_ path: WritableKeyPath<Root, HeadNormConfiguration>) -> Setting {
        Setting(
            "head_norm", values: "an object", "", nestedRows: HeadNormConfiguration.settingsRows,
            read: { reader, root in
                if let inner = reader.optionalObject("head_norm") {
                    root[keyPath: path] = HeadNormConfiguration(reading: inner)
                }
            }, write: { $0[keyPath: path].settings })
    }
}

extension SettingsReader {
    /// Reports heads that are too wide together.
    func reportWidth(_ key: String, headCount: Int, size: Int, of what: String = "channels") {
        guard headCount * size > MixerSizes.maximumWidth else { return }
        reportContradiction(
            key, "all \(headCount) heads together may have at most \(MixerSizes.maximumWidth) \(what)")
    }

    /// Reports an odd size of heads with a rotation, which turns pairs of channels.
    func reportOddSize(_ key: String, _ size: Int, rotation: String) {
        guard rotation != "none", size % 2 != 0 else { return }
        reportContradiction(key, "it must be even because the rotation '\(rotation)' turns pairs of channels")
    }

    /// Reports groups that do not divide the heads.
    func reportGroups(_ key: String, headCount: Int, groupCount: Int?) {
        guard let groupCount, headCount % groupCount != 0 else { return }
        reportContradiction(key, "the number of heads (\(headCount)) must be a multiple of it")
    }

    /// Reports an odd number of real dimensions of a complex state.
    func reportOddState(_ size: Int) {
        guard size % 2 != 0 else { return }
        reportContradiction("state_size", "it must be even because modes come in pairs of conjugates")
    }
}
