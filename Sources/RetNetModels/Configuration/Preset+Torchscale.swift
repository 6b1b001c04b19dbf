import RetNetMixers

extension Preset {
    /// The fairseq presets of torchscale.
    static let torchscale: [Preset] = [
        torchscale("base", width: 512, inner: 864, layers: 6, heads: 2, rate: 1e-3),
        torchscale("medium", width: 1024, inner: 1728, layers: 16, heads: 4, rate: 6e-4),
        torchscale("xl", width: 2048, inner: 3456, layers: 24, heads: 8, rate: 6e-4),
        torchscale("3b", width: 2560, inner: 4280, layers: 32, heads: 10, rate: 3e-4),
        torchscale("7b", width: 4096, inner: 6912, layers: 32, heads: 16, rate: 3e-4),
        torchscale("13b", width: 5120, inner: 8560, layers: 40, heads: 20, rate: 3e-4),
        torchscale("65b", width: 8192, inner: 13_824, layers: 64, heads: 32, rate: 1.5e-4),
    ]

    /// Values and feed-forward have the same inner width.
    private static func torchscale(
        _ name: String, width: Int, inner: Int, layers: Int, heads: Int, rate: Double
    ) -> Preset {
        let retention = RetentionConfiguration(
            headCount: heads, keySize: width / heads, valueSize: inner / heads, decay: .standard,
            normalization: .decay, headNorm: HeadNormConfiguration(kind: .rms, epsilon: 1e-6))
        let configuration = LanguageModelConfiguration(
            vocabularySize: 32_000, hiddenSize: width, layerCount: layers, mixer: .retention(retention),
            feedForward: FeedForwardConfiguration(kind: .gated, activation: .swish, innerSize: inner),
            norm: NormConfiguration(kind: .rms, epsilon: 1e-6), embeddingScale: .squareRoot,
            initialization: .torchscale, trainingLength: 2048)
        return Preset(
            name: "torchscale-\(name)",
            summary: "torchscale's retnet_\(name): \(layers) layers of width \(width), \(heads) heads",
            configuration: configuration,
            source:
                "torchscale 4d1e0e8, fairseq preset retnet_\(name). torchscale trains with decay_sum_abs, which"
                + " has no recurrent form, and decodes with decay; decay is taken for both, which differs only by"
                + " the epsilon of the head norm. The vocabulary, there that of the data, is 32,000 here.",
            recipe: PresetRecipe(
                peakLearningRate: rate, steps: 25_000, tokensPerStep: 4_000_000, isPublished: false))
    }
}
