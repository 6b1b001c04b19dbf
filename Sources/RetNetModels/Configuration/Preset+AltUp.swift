import RetNetMixers

extension Preset {
    /// Presets of this package with AltUp and with experts, each beside its dense model.
    static let altUp: [Preset] = [
        variant("retnet-8m", "altup2", "AltUp with 2 blocks") { $0.altUp = AltUpConfiguration() },
        variant("retnet-8m", "altup4", "AltUp with 4 blocks") {
            $0.altUp = AltUpConfiguration(blockCount: 4)
        },
        variant("retnet-8m", "recycled2", "Recycled-AltUp with 2 blocks") {
            $0.altUp = AltUpConfiguration(kind: .recycled)
        },
        variant("retnet-8m", "sum2", "the baseline Sum: 2 embeddings added") {
            $0.altUp = AltUpConfiguration(kind: .sum)
        },
        variant("retnet-8m", "dense2x", "the baseline Dense2X: a residual stream of twice the width") {
            $0 = $0.widened(by: 2)
        },
        variant("retnet-8m", "sequence4", "Sequence-AltUp with stride 4") {
            $0.altUp = .sequence(SequenceReductionConfiguration())
        },
        variant("retnet-8m", "skip4", "the baseline stride-and-skip with stride 4") {
            $0.altUp = .sequence(SequenceReductionConfiguration(mode: .skip))
        },
        variant("retnet-8m", "gemma4", "Gemma 3n's AltUp with 4 blocks") {
            $0.altUp = AltUpConfiguration(kind: .gemma, blockCount: 4)
        },
        variant("retnet-8m", "switch8", "8 experts a feed-forward, 1 a token") {
            $0.feedForward.experts = ExpertsConfiguration(count: 8)
        },
        variant("retnet-8m", "partial32", "32 tiny experts beside each feed-forward") {
            $0.feedForward.experts = ExpertsConfiguration(
                routing: .partial, count: 32, capacityFactor: nil, innerSize: 16)
        },
        variant("retnet-8m", "switch8-altup2", "8 experts a feed-forward, AltUp with 2 blocks") {
            $0.feedForward.experts = ExpertsConfiguration(count: 8)
            $0.altUp = AltUpConfiguration()
        },
        variant("retnet-22m", "altup2", "AltUp with 2 blocks") { $0.altUp = AltUpConfiguration() },
        variant("retnet-22m", "recycled2", "Recycled-AltUp with 2 blocks") {
            $0.altUp = AltUpConfiguration(kind: .recycled)
        },
    ]

    private static func variant(
        _ base: String, _ suffix: String, _ what: String,
        _ change: (inout LanguageModelConfiguration) -> Void
    ) -> Preset {
        // The base is one of this package's own, which are there.
        let dense = small.first { $0.name == base } ?? small[0]
        var configuration = dense.configuration
        change(&configuration)
        return Preset(
            name: "\(dense.name)-\(suffix)", summary: "\(dense.name) and \(what)",
            configuration: configuration,
            source:
                "This package: \(dense.name) with a change after AltUp (arXiv 2301.13310) and the sources that"
                + " it compares with. The recipe is that of the dense model.",
            recipe: dense.recipe)
    }
}
