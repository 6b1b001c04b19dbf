import Foundation
import RetNetMixers

extension RecallContender {
    /// All contenders, those with most memory first.
    ///
    /// Mixers with a short convolution of their own go without it, so that all have the one of the task or none;
    /// H3's shift and Hyena's filter of width 3 are what these mixers consist of, and stay.
    public static let all: [RecallContender] = [
        RecallContender("attention", "Attention (RoPE)", .softmax) {
            .attention(AttentionConfiguration(headCount: $0.headCount, headSize: $0.headSize))
        },
        RecallContender("linear-transformer", "Linear Transformer", .matrix) {
            .linearAttention(
                LinearAttentionConfiguration(headCount: $0.headCount, headSize: $0.headSize))
        },
        RecallContender("retention", "Retention", .matrix) { retention($0, .experiment) },
        RecallContender("retention-fast", "Retention, fast decays", .matrix) { place in
            // 1/8 … 1/128 of the memory is lost at every position: windows as long as these tasks.
            let steps = Double(max(1, place.headCount - 1))
            let decays = (0..<place.headCount).map { 1 - 0.125 / pow(16, Double($0) / steps) }
            return retention(place, .list(decays))
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

    /// Values of twice the width of keys, as in the paper.
    private static func retention(_ place: Place, _ decay: DecaySchedule) -> MixerConfiguration {
        .retention(
            RetentionConfiguration(
                headCount: place.headCount, keySize: place.headSize, valueSize: 2 * place.headSize,
                decay: decay))
    }

    private static func deltaNet(_ place: Place, betaRange: Double) -> MixerConfiguration {
        var configuration = GatedDeltaNetConfiguration.deltaNet(
            width: place.width, headCount: place.headCount, betaRange: betaRange)
        configuration.convolutionWidth = 1
        return .gatedDeltaNet(configuration)
    }
}
