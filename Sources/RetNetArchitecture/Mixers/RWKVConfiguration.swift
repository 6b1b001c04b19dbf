import RetNetSettings

/// The origin of the initial values of RWKV's matrices.
public enum RWKVInitialization: String, Sendable, CaseIterable {
    /// RWKV's own: keys, receptances and outputs zero, values orthogonal.
    case rwkv
    /// Those of attention: Xavier-uniform with gain 2^-½, 1 for outputs.
    case model
}

/// Sizes and choices of the time mixing of RWKV-4 (arXiv 2305.13048).
public struct RWKVConfiguration: Sendable, Equatable {
    /// d, the number of channels, which is the width of the model.
    public var channelCount: Int
    /// The initial values of the four matrices.
    public var initialization: RWKVInitialization

    /// Time mixing as in RWKV-4 by default.
    public init(channelCount: Int, initialization: RWKVInitialization = .rwkv) {
        self.channelCount = channelCount
        self.initialization = initialization
    }
}

extension RWKVConfiguration: DeclaredSettings {
    /// One channel; the number must be given.
    public static let standard = RWKVConfiguration(channelCount: 1)

    /// All settings.
    public static var declarations: [Setting<Self>] {
        [
            .int(
                "channel_count", \.channelCount, in: MixerSizes.channels, isRequired: true,
                "Number of channels, which is the width of the model."),
            .choice("initialization", \.initialization, "Initial values of the four matrices."),
        ]
    }
}

extension RWKVConfiguration: MixerSpecification {
    /// ``MixerConfiguration/rwkv(_:)``.
    public var configuration: MixerConfiguration { .rwkv(self) }

    /// The parallel form: pieces save nothing, because the kernel's work is linear in the length.
    public var trainingForm: MixerForm { .parallel }

    /// Numerator, denominator, exponent and the previous input: 4 d.
    public var stateTensors: [StateTensor] {
        ["numerator", "denominator", "exponent", "previous_input"].map { StateTensor($0, [channelCount]) }
    }

    /// 27 per channel: 9 for the three token shifts, 16 for reading and writing the sums, 2 for the gate.
    ///
    /// An exponential counts as one.
    public func recurrentFLOPs(position: Int) -> Int { 27 * channelCount }
}

/// Sizes and choices of the channel mixing of RWKV-4 (arXiv 2305.13048), RWKV's own feed-forward.
///
/// It reads the previous token too and so has a state, which feed-forwards do not have here: it is a mixer. A whole
/// RWKV-4 is a pattern of two kinds of layer without feed-forwards, time mixing and channel mixing in turns.
public struct RWKVChannelMixConfiguration: Sendable, Equatable {
    /// d, the number of channels, which is the width of the model.
    public var channelCount: Int
    /// The width between the two large matrices; 4 d in RWKV-4.
    public var innerSize: Int
    /// The initial values of the three matrices.
    public var initialization: RWKVInitialization

    /// Channel mixing as in RWKV-4, with an inner width of 4 d by default.
    public init(channelCount: Int, innerSize: Int? = nil, initialization: RWKVInitialization = .rwkv) {
        self.channelCount = channelCount
        self.innerSize = innerSize ?? Self.defaultInnerSize(channelCount)
        self.initialization = initialization
    }

    private static func defaultInnerSize(_ channelCount: Int) -> Int {
        channelCount.multipliedReportingOverflow(by: 4).partialValue
    }
}

extension RWKVChannelMixConfiguration: DeclaredSettings {
    /// One channel; the number must be given.
    public static let standard = RWKVChannelMixConfiguration(channelCount: 1)

    /// All settings.
    public static var declarations: [Setting<Self>] {
        [
            .int(
                "channel_count", \.channelCount, in: MixerSizes.channels, isRequired: true,
                "Number of channels, which is the width of the model."),
            .int(
                "inner_size", \.innerSize, in: 1...1 << 22,
                default: { defaultInnerSize($0.channelCount) },
                "Width between the two large matrices; 4 times the number of channels by default."),
            .choice("initialization", \.initialization, "Initial values of the three matrices."),
        ]
    }
}

extension RWKVChannelMixConfiguration: MixerSpecification {
    /// ``MixerConfiguration/rwkvChannelMix(_:)``.
    public var configuration: MixerConfiguration { .rwkvChannelMix(self) }

    /// The parallel form: pieces save nothing.
    public var trainingForm: MixerForm { .parallel }

    /// The previous input: d.
    public var stateTensors: [StateTensor] { [StateTensor("previous_input", [channelCount])] }

    /// 6 per channel for two token shifts, 2 for the gate, and 2 per inner channel for the squared ReLU.
    public func recurrentFLOPs(position: Int) -> Int { 8 * channelCount + 2 * innerSize }
}
