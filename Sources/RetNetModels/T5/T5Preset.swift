import RetNetArchitecture
import RetNetSettings

/// A named T5 configuration: a public model, or a small one of this package.
public struct T5Preset: Sendable, Equatable {
    /// The name, as in `t5-small`.
    public let name: String
    /// A description in one line.
    public let summary: String
    /// The architecture.
    public let configuration: T5Configuration

    /// All presets: v1.0 from small to 11B, v1.1 from small to XXL, and small ones over bytes.
    public static let all: [T5Preset] = published + bytes

    /// The public models.
    private static let published: [T5Preset] = [
        original("t5-small", 512, heads: 8, layers: 6, inner: 2048),
        original("t5-base", 768, heads: 12, layers: 12, inner: 3072),
        original("t5-large", 1024, heads: 16, layers: 24, inner: 4096),
        original("t5-3b", 1024, heads: 32, key: 128, layers: 24, inner: 16_384),
        original("t5-11b", 1024, heads: 128, key: 128, layers: 24, inner: 65_536),
        improved("t5-v1.1-small", 512, heads: 6, layers: 8, inner: 1024),
        improved("t5-v1.1-base", 768, heads: 12, layers: 12, inner: 2048),
        improved("t5-v1.1-large", 1024, heads: 16, layers: 24, inner: 2816),
        improved("t5-v1.1-xl", 2048, heads: 32, layers: 24, inner: 5120),
        improved("t5-v1.1-xxl", 4096, heads: 64, layers: 24, inner: 10_240),
    ]

    /// Small models of this package over bytes with sentinels: dense ones and their variants.
    private static let bytes: [T5Preset] = ["t5-2m", "t5-9m"].flatMap { name in
        let (width, layers, inner) = name == "t5-2m" ? (128, 4, 256) : (256, 6, 512)
        let dense = T5Configuration(
            vocabularySize: 384, hiddenSize: width, headCount: 4, keySize: width / 4, innerSize: inner,
            encoderLayerCount: layers, feedForward: .gatedGelu, tiedOutput: false, dropout: 0)
        let summary = "T5 v1.1 over bytes: \(layers)+\(layers) layers of width \(width)"
        func variant(
            _ suffix: String, _ what: String, _ change: (inout T5Configuration) -> Void
        ) -> T5Preset {
            var configuration = dense
            change(&configuration)
            return T5Preset(
                name: "\(name)-\(suffix)", summary: "\(summary), \(what)", configuration: configuration)
        }
        func sequence(_ mode: SequenceReductionConfiguration.Mode) -> AltUpConfiguration {
            .sequence(SequenceReductionConfiguration(mode: mode))
        }
        let switched = T5ExpertsConfiguration(ExpertsConfiguration(count: 4))
        let partial = ExpertsConfiguration(routing: .partial, count: 16, capacityFactor: nil, innerSize: 16)
        return [
            T5Preset(name: name, summary: summary, configuration: dense),
            variant("altup2", "AltUp with 2 streams") { $0.altUp = AltUpConfiguration() },
            variant("altup4", "AltUp with 4 streams") { $0.altUp = AltUpConfiguration(streamCount: 4) },
            variant("recycled2", "Recycled-AltUp with 2 streams") {
                $0.altUp = AltUpConfiguration(kind: .recycled)
            },
            variant("sum2", "the baseline Sum: 2 embeddings added") {
                $0.altUp = AltUpConfiguration(kind: .sum)
            },
            variant("dense2x", "the baseline Dense2X: a residual stream of twice the width") {
                $0.hiddenSize *= 2
            },
            variant("sequence4", "Sequence-AltUp with stride 4") { $0.altUp = sequence(.altup) },
            variant("skip4", "the baseline stride-and-skip with stride 4") { $0.altUp = sequence(.skip) },
            variant("pool4", "the baseline of means over 4 tokens") { $0.altUp = sequence(.pool) },
            variant("switch4", "4 experts in every second feed-forward") { $0.experts = switched },
            variant("partial16", "16 tiny experts added to every feed-forward") {
                $0.experts = T5ExpertsConfiguration(partial, period: 1)
            },
            variant("switch4-altup2", "4 experts in every second feed-forward and AltUp with 2 streams") {
                $0.experts = switched
                $0.altUp = AltUpConfiguration()
            },
        ]
    }

    /// Returns the preset of a name; throws ``PresetError`` with the nearest name.
    public static func named(_ name: String) throws -> T5Preset {
        guard let preset = all.first(where: { $0.name == name }) else {
            let names = all.map(\.name)
            throw PresetError.unknown(
                name, suggestion: NameMatcher.nearest(to: name, in: names), known: names)
        }
        return preset
    }

    private static func original(
        _ name: String, _ width: Int, heads: Int, key: Int = 64, layers: Int, inner: Int
    ) -> T5Preset {
        T5Preset(
            name: name,
            summary: "T5 v1.0: \(layers)+\(layers) layers of width \(width), \(heads) heads of \(key)",
            configuration: T5Configuration(
                hiddenSize: width, headCount: heads, keySize: key, innerSize: inner,
                encoderLayerCount: layers))
    }

    /// Pretraining of v1.1 was without dropout; turn it on to fine-tune.
    private static func improved(_ name: String, _ width: Int, heads: Int, layers: Int, inner: Int)
        -> T5Preset
    {
        T5Preset(
            name: name,
            summary: "T5 v1.1: \(layers)+\(layers) layers of width \(width), \(heads) heads of 64",
            configuration: T5Configuration(
                hiddenSize: width, headCount: heads, innerSize: inner, encoderLayerCount: layers,
                feedForward: .gatedGelu, tiedOutput: false, dropout: 0))
    }
}
