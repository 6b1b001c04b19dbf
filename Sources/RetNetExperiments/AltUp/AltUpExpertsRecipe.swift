import RetNetReporting

/// Sparse experts with and without AltUp.
public struct AltUpExpertsRecipe: ComparisonRecipe {
    /// `altup-experts`.
    public static let name = "altup-experts"
    /// The authors' combination.
    public static let summary =
        "RetNet, Transformer and T5: sparse and partial experts with and without AltUp (AltUp with MoE)"

    let comparison: AltUpComparison

    /// The middle size of the main comparison.
    public init(_ context: ExperimentContext) throws {
        let plan = AltUpPlan(context, tinyStepFactor: 0.75, tunesTiny: false)
        comparison = try AltUpComparison(
            context, plan: plan, families: [.retnet, .transformer, .t5],
            sizes: plan.only(context.scale == .paper ? 1 : 2),
            variants: [.dense, .altUp, .experts, .expertsAltUp, .partial, .partialAltUp].map { ($0, 0...0) })
    }

    /// Bars of accuracy, whether gains add up, all numbers.
    public func report(_ results: [UnitResult]) throws -> ExperimentReport {
        var report = ExperimentReport(title: "AltUp with sparse experts")
        report.add(comparison.method())
        report.add(.text("The authors state that \(AltUpPaper.experts). Here:"))
        report.add(
            .text(
                comparison.pairs(
                    [
                        (.expertsAltUp, .experts, "AltUp on top of experts"),
                        (.expertsAltUp, .altUp, "experts on top of AltUp"),
                        (.partialAltUp, .partial, "AltUp on top of partial experts"),
                        (.partialAltUp, .altUp, "partial experts on top of AltUp"),
                    ], results)))
        comparison.addOneSize(to: &report, results, chart: "altup-experts")
        comparison.addTasks(to: &report, results, chart: "altup-experts-tasks")
        report.add(.heading("Published"))
        report.add(.text(AltUpPaper.unread))
        return report
    }
}
