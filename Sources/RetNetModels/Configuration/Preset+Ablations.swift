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
