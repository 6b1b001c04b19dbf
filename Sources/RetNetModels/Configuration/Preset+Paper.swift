import RetNetMixers

extension Preset {
    /// The models of the papers: arXiv 2307.08621, and its later version for the 400M comparisons.
    static let paper: [Preset] = [
        arxiv(
            "retnet-200m", width: 1024, layers: 16, heads: 4,
            note: "Layers and width are the paper's (Tables 5 and 6); heads and feed-forward follow its other"
                + " models; no learning rate is stated.",
            recipe: PresetRecipe(
                peakLearningRate: 6e-4, steps: 10_000, tokensPerStep: 500_000, isPublished: false)),
        arxiv(
            "retnet-1.3b", width: 2048, layers: 24, heads: 8, note: "Sizes are the paper's.",
            recipe: large(rate: 6e-4)),
        arxiv(
            "retnet-2.7b", width: 2560, layers: 32, heads: 10, note: "Sizes are the paper's.",
            recipe: large(rate: 3e-4)),
        arxiv(
            "retnet-6.7b", width: 4096, layers: 32, heads: 16, note: "Sizes are the paper's.",
            recipe: large(rate: 3e-4)),
        arxiv(
            "retnet-13b", width: 5120, layers: 40, heads: 20,
            note: "The paper gives costs of this model but no sizes; these are torchscale's for 13B.",
            recipe: large(rate: 3e-4, isPublished: false)),
        comparison,
    ]

    /// Appendix table of the paper: 25,000 steps of 4M tokens.
    private static func large(rate: Double, isPublished: Bool = true) -> PresetRecipe {
        PresetRecipe(
            peakLearningRate: rate, steps: 25_000, tokensPerStep: 4_000_000, isPublished: isPublished)
    }

    private static func arxiv(
        _ name: String, width: Int, layers: Int, heads: Int, note: String, recipe: PresetRecipe
    ) -> Preset {
        let keySize = width / heads
        let retention = RetentionConfiguration(
            headCount: heads, keySize: keySize, valueSize: 2 * keySize, decay: .experiment,
            normalization: .decayAbsSum, headNorm: HeadNormConfiguration(kind: .layer, epsilon: 1e-5))
        let configuration = LanguageModelConfiguration(
            vocabularySize: 32_000, hiddenSize: width, layerCount: layers, mixer: .retention(retention),
            feedForward: FeedForwardConfiguration(kind: .plain, activation: .gelu, innerSize: 2 * width),
            norm: NormConfiguration(kind: .layer, epsilon: 1e-5), embeddingScale: .squareRoot,
            dropout: DropoutConfiguration(embedding: 0.1, residual: 0.1), initialization: .paper,
            trainingLength: 2048)
        return Preset(
            name: name, summary: "the paper's model: \(layers) layers of width \(width), \(heads) heads",
            configuration: configuration,
            source: "arXiv 2307.08621. \(note) Not stated there and chosen here: a vocabulary of 32,000 (the"
                + " tokenizer is unknown), no biases, head norms without weights, epsilon 1e-5, a separate output"
                + " matrix, embeddings times the root of the width.",
            recipe: recipe)
    }

    /// RetNet of the 400M architecture comparison.
    private static var comparison: Preset {
        let width = 1728
        let retention = RetentionConfiguration(
            headCount: 4, keySize: 256, valueSize: width / 4, decay: .standard, normalization: .decay,
            headNorm: HeadNormConfiguration(kind: .rms, epsilon: 1e-6))
        let configuration = LanguageModelConfiguration(
            vocabularySize: 100_288, hiddenSize: 1024, layerCount: 24, mixer: .retention(retention),
            feedForward: FeedForwardConfiguration(kind: .gated, activation: .swish, innerSize: width),
            norm: NormConfiguration(kind: .rms, epsilon: 1e-6), embeddingScale: .squareRoot, tiedOutput: true,
            initialization: .paper, trainingLength: 2048)
        return Preset(
            name: "retnet-400m",
            summary: "the model of the later paper's comparison: 24 layers of width 1024",
            configuration: configuration,
            source:
                "The paper's later version (NeurIPS), Table 1. Values and feed-forward are printed as 5/3 of"
                + " the width, which 4 heads cannot share; 27/16 is taken, 432 a head, as its ablation with 16"
                + " heads of 108 implies. 4 heads replace the printed 24, which do not divide the width. Scores"
                + " are normalised by the decay alone: the paper's sum of absolute scores has no recurrent form.",
            recipe: PresetRecipe(
                peakLearningRate: 1.5e-4, steps: 40_000, tokensPerStep: 250_000, isPublished: true))
    }
}
