import RetNetMixers

extension Preset {
    /// Transformers as deep and as wide as the RetNets of the same names; those of 22M and 200M are in ``compared``.
    static let transformer: [Preset] = [
        bytes("transformer-1m", width: 128, layers: 5, rate: 2e-3, steps: 2000, length: 512),
        bytes("transformer-3m", width: 256, layers: 4, rate: 2e-3, steps: 3000, length: 512),
        bytes("transformer-8m", width: 320, layers: 6, rate: 1.5e-3, steps: 6000, length: 1024),
        paper("transformer-1.3b", width: 2048, layers: 24, rate: 6e-4),
        paper("transformer-2.7b", width: 2560, layers: 32, rate: 3e-4),
        paper("transformer-6.7b", width: 4096, layers: 32, rate: 3e-4),
        paper("transformer-13b", width: 5120, layers: 40, rate: 3e-4, isPublished: false),
    ]

    private static func bytes(
        _ name: String, width: Int, layers: Int, rate: Double, steps: Int, length: Int
    ) -> Preset {
        let configuration = ComparedArchitecture.transformer.configuration(
            width: width, layerCount: layers, vocabularySize: 256, trainingLength: length)
        return Preset(
            name: name,
            summary: "bytes, Transformer, \(layers) layers of width \(width), \(heads(configuration)) heads",
            configuration: configuration,
            source:
                "This package: attention with rotary positions and a feed-forward of four widths in the place"
                + " of retention, everything else as in the RetNet of this size.",
            recipe: PresetRecipe(
                peakLearningRate: rate, warmupSteps: max(50, steps * 3 / 200), steps: steps,
                tokensPerStep: 16 * length, sequenceLength: length, isPublished: false))
    }

    /// The Transformer that the paper measures RetNet against: 4 d² of attention and 8 d² of feed-forward.
    private static func paper(
        _ name: String, width: Int, layers: Int, rate: Double, isPublished: Bool = true
    ) -> Preset {
        var configuration = ComparedArchitecture.transformer.configuration(
            width: width, layerCount: layers, vocabularySize: 32_000, trainingLength: 2048,
            sizes: ComparedSizes(headSize: 128))
        configuration.norm = NormConfiguration(kind: .layer, epsilon: 1e-5)
        configuration.dropout = DropoutConfiguration(embedding: 0.1, residual: 0.1)
        configuration.initialization = .paper
        return Preset(
            name: name,
            summary:
                "the paper's Transformer: \(layers) layers of width \(width), \(heads(configuration)) heads",
            configuration: configuration,
            source:
                "RetNet (arXiv 2307.08621), section 3.1: the baseline of the same depth and width. Not stated"
                + " there and chosen here: heads of 128, rotary positions, a vocabulary of 32,000, no biases,"
                + " epsilon 1e-5, a separate output matrix, embeddings times the root of the width.",
            recipe: PresetRecipe(
                peakLearningRate: rate, steps: 25_000, tokensPerStep: 4_000_000, isPublished: isPublished))
    }

    private static func heads(_ configuration: LanguageModelConfiguration) -> Int {
        guard case .attention(let attention) = configuration.mixer else { return 0 }
        return attention.headCount
    }
}
