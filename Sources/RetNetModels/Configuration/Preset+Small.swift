import RetNetMixers

extension Preset {
    /// Presets of this package over bytes, from one to a hundred million parameters.
    ///
    /// They keep the proportions of the paper (values 2d, feed-forward 2d, so 12d² a block) and the decays of its
    /// experiments, windows from 32 to 512 positions. Keys are narrower than the paper's 256 where the width
    /// would leave a single head.
    static let small: [Preset] = [
        bytes("retnet-1m", width: 128, layers: 5, heads: 2, rate: 2e-3, steps: 2000, batch: 16, length: 512),
        bytes("retnet-3m", width: 256, layers: 4, heads: 4, rate: 2e-3, steps: 3000, batch: 16, length: 512),
        bytes(
            "retnet-8m", width: 320, layers: 6, heads: 5, rate: 1.5e-3, steps: 6000, batch: 16, length: 1024),
        bytes(
            "retnet-22m", width: 512, layers: 6, heads: 2, rate: 1e-3, steps: 10_000, batch: 16, length: 1024),
        bytes(
            "retnet-50m", width: 640, layers: 10, heads: 5, rate: 8e-4, steps: 20_000, batch: 16, length: 2048
        ),
        bytes(
            "retnet-100m", width: 768, layers: 14, heads: 6, rate: 6e-4, steps: 40_000, batch: 32,
            length: 2048),
    ]

    private static func bytes(
        _ name: String, width: Int, layers: Int, heads: Int, rate: Double, steps: Int, batch: Int, length: Int
    ) -> Preset {
        let keySize = width / heads
        let millions = Double(12 * width * width * layers) / 1e6
        let retention = RetentionConfiguration(
            headCount: heads, keySize: keySize, valueSize: 2 * keySize, decay: .experiment,
            normalization: .decay, headNorm: HeadNormConfiguration(kind: .rms, epsilon: 1e-6))
        let configuration = LanguageModelConfiguration(
            vocabularySize: 256, hiddenSize: width, layerCount: layers, mixer: .retention(retention),
            feedForward: FeedForwardConfiguration(kind: .plain, activation: .gelu, innerSize: 2 * width),
            norm: NormConfiguration(kind: .rms, epsilon: 1e-6), embeddingScale: .squareRoot,
            initialization: .torchscale, trainingLength: length)
        let tenths = Int((millions * 10).rounded())
        return Preset(
            name: name,
            summary: "bytes, \(layers) layers of width \(width), \(heads) heads,"
                + " \(tenths / 10).\(tenths % 10)M in matrices",
            configuration: configuration,
            source: "This package: the paper's block (arXiv 2307.08621) with RMS norms, over the 256 bytes.",
            recipe: PresetRecipe(
                peakLearningRate: rate, warmupSteps: max(50, steps * 3 / 200), steps: steps,
                tokensPerStep: batch * length, sequenceLength: length, isPublished: false))
    }
}
