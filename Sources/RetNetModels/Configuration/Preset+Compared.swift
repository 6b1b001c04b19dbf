extension Preset {
    /// The architectures that RetNet is compared with, at the size of `retnet-22m` and at the paper's 200M.
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
                "RetNet (arXiv 2307.08621), section 3.5: 16 layers of width 1024, 12 d² a block, 5B tokens."
                + " The vocabulary, the learning rate and what is within the mixer are not stated there; the mixer"
                + " follows its own paper.",
            recipe: PresetRecipe(
                peakLearningRate: 6e-4, steps: 10_000, tokensPerStep: 500_000, isPublished: false))
    }
}
