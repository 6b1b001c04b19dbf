import RetNetModels
import RetNetReporting

/// RetNet with one component removed each (Table 6).
public struct AblationsRecipe: ComparisonRecipe {
    /// `ablations`.
    public static let name = "ablations"
    /// Table 6.
    public static let summary =
        "RetNet without gate, head norm, decay, several decays or wide heads (Table 6)"

    let comparison: TextComparison

    /// Plans the models and the training of the comparison of architectures.
    public init(_ context: ExperimentContext) throws {
        let (size, settings) = ArchitecturesRecipe.plan(context)
        let base = Contender(.retnet, size, length: settings.length).configuration
        let all = RetNetAblation.allCases
        let ablations = try context.requestedContenders(from: all, otherwise: all) { $0.rawValue }
        comparison = try TextComparison(
            context: context,
            contenders: [Contender(name: "RetNet", configuration: base)]
                + ablations.map {
                    Contender(name: $0.title, configuration: try $0.applied(to: base), key: $0.rawValue)
                }, settings: settings)
    }

    /// Reports the scores, and the gaps to RetNet next to those of the paper.
    public func report(_ results: [UnitResult]) throws -> ExperimentReport {
        var report = ExperimentReport(title: "RetNet with one component removed each (Table 6)")
        report.add(comparison.method())
        report.add(.text(comparison.agreement(results, base: "RetNet", published: RetNetPaper.ablations)))
        report.add(.chart(name: "ablations", comparison.chart(results, title: "Ablations of RetNet")))
        report.add(.heading("Scores"))
        report.add(.table(comparison.scoreTable(results)))
        if let section = comparison.divergence(results) { report.add(section) }
        report.add(.heading("Gaps"))
        report.add(
            .text(
                "Measured gaps are in nats per byte, those of the paper in nats per token for 200M models. A positive"
                    + " gap means that the component helps. Small models on little text show at best the sign."
            ))
        report.add(.table(comparison.gapTable(results, base: "RetNet", published: RetNetPaper.ablations)))
        report.add(RetNetPaper.ablations)
        report.add(RetNetPaper.laterAblations)
        return report
    }
}
