import RetNetArchitecture
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
                + " the width, which 4 heads cannot share; 27/16 is taken, 432 per head, as its ablation with 16"
                + " heads of 108 implies. 4 heads replace the printed 24, which do not divide the width. Scores"
                + " are normalized by the decay alone: the paper's sum of absolute scores has no recurrent form.",
            recipe: PresetRecipe(
                peakLearningRate: 1.5e-4, steps: 40_000, tokensPerStep: 250_000, isPublished: true))
    }
}

extension Preset {
    /// The rows of the paper's Table 6: `retnet-200m` without one part each.
    static let ablations: [Preset] = RetNetAblation.allCases.compactMap { ablation in
        guard let base = paper.first(where: { $0.name == "retnet-200m" }),
            let configuration = try? ablation.applied(to: base.configuration)
        else { return nil }
        return Preset(
            name: "retnet-200m-\(ablation.rawValue)", summary: "the paper's ablation: \(ablation.title)",
            configuration: configuration,
            source: "arXiv 2307.08621, Table 6. \(base.source)", recipe: base.recipe)
    }
}

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
                "This package: attention with rotary positions and a feed-forward of four widths in place of"
                + " retention, all else as in the RetNet of this size.",
            recipe: PresetRecipe(
                peakLearningRate: rate, warmupSteps: max(50, steps * 3 / 200), steps: steps,
                tokensPerStep: 16 * length, sequenceLength: length, isPublished: false))
    }

    /// The Transformer baseline of the paper: 4 d² of attention and 8 d² of feed-forward.
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

extension Preset {
    /// The architectures of comparisons with RetNet, at the size of `retnet-22m` and at the paper's 200M.
    static let compared: [Preset] = ComparedArchitecture.allCases.filter { $0 != .retnet }.flatMap {
        [small($0), paper($0)]
    }

    private static func small(_ architecture: ComparedArchitecture) -> Preset {
        Preset(
            name: "\(architecture.rawValue)-22m",
            summary: "bytes, \(architecture.title), 6 layers of width 512",
            configuration: architecture.configuration(
                width: 512, layerCount: 6, vocabularySize: 256, trainingLength: 1024),
            source: "This package: blocks of \(architecture.title) in the budget of retnet-22m's.",
            recipe: PresetRecipe(
                peakLearningRate: 1e-3, warmupSteps: 150, steps: 10_000, tokensPerStep: 16 * 1024,
                sequenceLength: 1024, isPublished: false))
    }

    private static func paper(_ architecture: ComparedArchitecture) -> Preset {
        Preset(
            name: "\(architecture.rawValue)-200m",
            summary: "\(architecture.title) as in the paper's comparison: 16 layers of width 1024",
            configuration: architecture.configuration(
                width: 1024, layerCount: 16, vocabularySize: 32_000, trainingLength: 2048),
            source:
                "RetNet (arXiv 2307.08621), section 3.5: 16 layers of width 1024, 12 d² per block, 5B tokens."
                + " The vocabulary, the learning rate and what is within the mixer are not stated there; the mixer"
                + " follows its own paper.",
            recipe: PresetRecipe(
                peakLearningRate: 6e-4, steps: 10_000, tokensPerStep: 500_000, isPublished: false))
    }
}

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
