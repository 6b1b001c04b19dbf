import RetNetMixers

extension Preset {
    /// The models that flash-linear-attention has published.
    static let fla: [Preset] = [
        fla("1.3b", width: 2048, layers: 24, heads: 8),
        fla("2.7b", width: 2560, layers: 32, heads: 10),
    ]

    private static func fla(_ size: String, width: Int, layers: Int, heads: Int) -> Preset {
        let keySize = width / heads
        let retention = RetentionConfiguration(
            headCount: heads, keySize: keySize, valueSize: 2 * keySize, decay: .standard, rotation: .halves,
            normalization: .none,
            headNorm: HeadNormConfiguration(kind: .rms, affine: .shared, epsilon: 1e-6))
        let configuration = LanguageModelConfiguration(
            vocabularySize: 32_000, hiddenSize: width, layerCount: layers, mixer: .retention(retention),
            feedForward: FeedForwardConfiguration(
                kind: .gated, activation: .swish, innerSize: flaInnerSize(width: width, ratio: 2)),
            norm: NormConfiguration(kind: .rms, epsilon: 1e-6),
            initialization: .normal(standardDeviation: 0.02), trainingLength: 2048,
            tokens: SpecialTokens(begin: 1, end: 2))
        return Preset(
            name: "fla-retnet-\(size)",
            summary:
                "fla-hub/retnet-\(size.uppercased())-100B: \(layers) layers of width \(width), \(heads) heads",
            configuration: configuration,
            source: "flash-linear-attention, model fla-hub/retnet-\(size.uppercased())-100B. The recipe is a"
                + " proposal of this package.",
            recipe: PresetRecipe(
                peakLearningRate: 3e-4, warmupSteps: 1000, steps: 50_000, tokensPerStep: 2_000_000,
                weightDecay: 0.01, betas: [0.9, 0.95], gradientClip: 1, isPublished: false))
    }

    /// The inner width that fla gives a gated feed-forward: two thirds of ratio · d, up to a multiple of 256.
    static func flaInnerSize(width: Int, ratio: Int) -> Int {
        let twoThirds = width * ratio * 2 / 3
        return 256 * ((twoThirds + 255) / 256)
    }
}
