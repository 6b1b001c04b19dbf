import Foundation
import RetNetMixers
import RetNetModels

/// A mixer that takes part in the recall recipe.
public struct RecallContender: Sendable {
    /// The sizes for which a mixer is created.
    public struct Sizes: Sendable, Equatable {
        /// d, the model width.
        public var width: Int
        /// Number of heads of mixers with heads.
        public var headCount: Int
        /// Length of the longest example.
        public var maximumLength: Int

        /// Creates sizes from their parts.
        public init(width: Int, headCount: Int, maximumLength: Int) {
            self.width = width
            self.headCount = headCount
            self.maximumLength = maximumLength
        }

        /// Width of a head.
        public var headSize: Int { max(1, width / max(1, headCount)) }
    }

    /// The name by which it is selected, also used in file names.
    public let name: String
    /// The name in tables and plots.
    public let title: String
    /// The kind of its state.
    public let family: MixerFamily
    /// Returns the mixer for some sizes.
    public let mixer: @Sendable (Sizes) -> MixerConfiguration

    /// Creates a contender from its parts.
    public init(
        _ name: String, _ title: String, _ family: MixerFamily,
        mixer: @escaping @Sendable (Sizes) -> MixerConfiguration
    ) {
        self.name = name
        self.title = title
        self.family = family
        self.mixer = mixer
    }

    /// Returns the model: pre-norms, tied output, and the same width, depth and convolution for all contenders.
    public func configuration(for plan: RecallPlan) -> LanguageModelConfiguration {
        let (shape, task) = (plan.model, plan.task)
        return LanguageModelConfiguration(
            vocabularySize: task.vocabularySize, hiddenSize: shape.width, layerCount: shape.layerCount,
            mixer: mixer(plan.mixerSizes),
            feedForward: shape.feedForwardFactor > 0
                ? FeedForwardConfiguration(
                    kind: .plain, activation: .gelu, innerSize: shape.feedForwardFactor * shape.width)
                : .none,
            shortConvolution: shape.convolutionWidth, norm: NormConfiguration(kind: .rms, epsilon: 1e-6),
            embeddingScale: .squareRoot, tiedOutput: true, trainingLength: task.training.lengths.upperBound)
    }
}

/// The kind of state of a mixer, on which recall is expected to depend.
public enum MixerFamily: String, Sendable, CaseIterable {
    /// Keys and values of all tokens.
    case softmax = "all keys and values"
    /// A matrix per head that is read by queries.
    case matrix = "matrix per head"
    /// A few numbers per channel, weighted by keys.
    case elementWise = "numbers per channel"
    /// Convolutions whose filters do not depend on the input.
    case convolution = "fixed filters"
}

extension RecallContender {
    /// All contenders, by the kind of their state.
    ///
    /// Optional short convolutions within mixers are left out, so that all contenders have the one of the task or none.
    /// H3's shift and Hyena's filter of width 3 are essential parts of these mixers and remain.
    public static let all: [RecallContender] = [
        RecallContender("attention", "Attention (RoPE)", .softmax) {
            .attention(AttentionConfiguration(headCount: $0.headCount, headSize: $0.headSize))
        },
        RecallContender("linear-transformer", "Linear Transformer", .matrix) {
            .linearAttention(
                LinearAttentionConfiguration(headCount: $0.headCount, headSize: $0.headSize))
        },
        RecallContender("retention", "Retention", .matrix) { retention($0, .experiment) },
        RecallContender("retention-fast", "Retention, fast decays", .matrix) { sizes in
            // The state loses 1/8 … 1/128 at every position: windows about as long as these tasks.
            let steps = Double(max(1, sizes.headCount - 1))
            let decays = (0..<sizes.headCount).map { 1 - 0.125 / pow(16, Double($0) / steps) }
            return retention(sizes, .list(decays))
        },
        RecallContender("gret", "gRet", .matrix) {
            .gatedRetention(GatedRetentionConfiguration(width: $0.width, headCount: $0.headCount))
        },
        RecallContender("gla", "GLA", .matrix) {
            .gatedLinearAttention(
                GatedLinearAttentionConfiguration(width: $0.width, headCount: $0.headCount))
        },
        RecallContender("mamba2", "Mamba-2", .matrix) {
            .mamba2(
                Mamba2Configuration(
                    headCount: 2 * $0.headCount, headSize: $0.headSize, stateSize: $0.headSize,
                    convolutionWidth: 1))
        },
        RecallContender("deltanet", "DeltaNet", .matrix) { deltaNet($0, betaRange: 1) },
        RecallContender("deltanet-negative", "DeltaNet, beta to 2", .matrix) { deltaNet($0, betaRange: 2) },
        RecallContender("gated-deltanet", "Gated DeltaNet", .matrix) {
            .gatedDeltaNet(
                GatedDeltaNetConfiguration(
                    headCount: $0.headCount, keySize: $0.headSize, valueSize: $0.headSize,
                    convolutionWidth: 1))
        },
        RecallContender("rwkv", "RWKV-4", .elementWise) {
            .rwkv(RWKVConfiguration(channelCount: $0.width))
        },
        RecallContender("aft", "AFT-simple", .elementWise) {
            .aft(AFTConfiguration(channelCount: $0.width, variant: .simple))
        },
        RecallContender("s4d", "S4D", .convolution) {
            .s4d(S4DConfiguration(channelCount: $0.width, stateSize: 32, block: .gated))
        },
        RecallContender("h3", "H3", .convolution) {
            .h3(
                H3Configuration(
                    headCount: $0.width, headSize: 1, stateSize: 32, shiftSize: 32, biases: false))
        },
        RecallContender("hyena", "Hyena-2", .convolution) {
            .hyena(
                HyenaConfiguration(
                    channelCount: $0.width, maximumLength: $0.maximumLength, sineFrequency: 10))
        },
    ]

    /// Returns retention with values of twice the width of keys, as in the paper.
    private static func retention(_ sizes: Sizes, _ decay: DecaySchedule) -> MixerConfiguration {
        .retention(
            RetentionConfiguration(
                headCount: sizes.headCount, keySize: sizes.headSize, valueSize: 2 * sizes.headSize,
                decay: decay))
    }

    private static func deltaNet(_ sizes: Sizes, betaRange: Double) -> MixerConfiguration {
        var configuration = GatedDeltaNetConfiguration.deltaNet(
            width: sizes.width, headCount: sizes.headCount, betaRange: betaRange)
        configuration.convolutionWidth = 1
        return .gatedDeltaNet(configuration)
    }
}
