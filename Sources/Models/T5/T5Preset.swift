import Settings

/// A public T5 model by name.
public struct T5Preset: Sendable, Equatable {
    /// The name, as in `--preset t5-small`.
    public let name: String
    /// What it is, in one line.
    public let summary: String
    /// The architecture.
    public let configuration: T5Configuration

    /// All presets: v1.0 from small to 11B, v1.1 from small to XXL.
    public static let all: [T5Preset] = [
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

    /// The preset of a name; throws ``PresetError`` with the name that was probably meant.
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
