import Foundation
import Mixers

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
        RecallContender("rwkv", "RWKV-4", .elementWise) {
            .rwkv(RWKVConfiguration(channelCount: $0.width))
        },
        RecallContender("aft", "AFT-simple", .elementWise) {
            .aft(AFTConfiguration(channelCount: $0.width, variant: .simple))
        },
    ]

    /// Values of twice the width of keys, as in the paper.
    private static func retention(_ place: Place, _ decay: DecaySchedule) -> MixerConfiguration {
        .retention(
            RetentionConfiguration(
                headCount: place.headCount, keySize: place.headSize, valueSize: 2 * place.headSize,
                decay: decay))
    }
}
