import RetNetModels
import RetNetReporting

/// RetNet without one of its parts each (Table 6).
public struct AblationsRecipe: ComparisonRecipe {
    /// `ablations`.
    public static let name = "ablations"
    /// Table 6.
    public static let summary = "RetNet without gate, head norm, decay, several decays, wide heads (Table 6)"

    let comparison: TextComparison

    /// The models and training of the architecture comparison.
    public init(_ context: ExperimentContext) throws {
        let (size, settings) = ArchitecturesRecipe.plan(context)
        let base = Contender(.retnet, size, length: settings.length).configuration
        let all = RetNetAblation.allCases
        let ablations = try Contender.picked(context.contenders, from: all, otherwise: all) { $0.rawValue }
        comparison = try TextComparison(
            context: context,
            contenders: [Contender(name: "RetNet", configuration: base)]
                + ablations.map {
                    Contender(name: $0.title, configuration: try $0.applied(to: base), key: $0.rawValue)
                },
            run: TextRun(context: context, settings: settings))
    }

    /// Scores, gaps beside the paper's, a plot.
    public func report(_ results: [UnitResult]) throws -> ExperimentReport {
        var report = ExperimentReport(title: "RetNet without one part each (Table 6)")
        report.add(comparison.method())
        report.add(.text(comparison.agreement(results, base: "RetNet", published: RetNetPaper.ablations)))
        report.add(.chart(name: "ablations", comparison.chart(results, title: "Ablations of RetNet")))
        report.add(.heading("Scores"))
        report.add(.table(comparison.scoreTable(results)))
        if let section = comparison.divergence(results) { report.add(section) }
        report.add(.heading("Gaps"))
        report.add(
            .text(
                "Ours are in nats a byte; the paper's in nats a token of 200M models. Positive gaps say that the part is"
                    + " worth having. Small models on little text show signs at best, not sizes."))
        report.add(.table(comparison.gapTable(results, base: "RetNet", published: RetNetPaper.ablations)))
        report.add(RetNetPaper.ablations)
        report.add(RetNetPaper.laterAblations)
        return report
    }
}
