import RetNetReporting

/// Sequence-AltUp beside its baselines: stride-and-skip and average pooling.
public struct SequenceAltUpRecipe: ComparisonRecipe {
    /// `sequence-altup`.
    public static let name = "sequence-altup"
    /// The authors' comparison of ways to shorten sequences.
    public static let summary =
        "T5, RetNet and Transformer: Sequence-AltUp, stride-and-skip and average pooling (Sequence-AltUp)"

    let comparison: AltUpComparison

    /// The largest size of the main comparison, for the first and the last layer see all tokens.
    public init(_ context: ExperimentContext) throws {
        let plan = AltUpPlan(context)
        comparison = try AltUpComparison(
            context, plan: plan, families: [.retnet, .transformer, .t5],
            sizes: plan.only(context.scale == .paper ? 1 : 2),
            variants: [.dense, .pool, .skip, .sequence].map { ($0, 0...0) })
    }

    /// Bars of accuracy and latency, with all numbers.
    public func report(_ results: [UnitResult]) throws -> ExperimentReport {
        var report = ExperimentReport(title: "Sequence-AltUp and other ways to shorten sequences")
        report.add(comparison.method())
        report.add(
            .text(
                comparison.pairs(
                    [
                        (.sequence, .skip, "Sequence-AltUp against stride-and-skip"),
                        (.sequence, .pool, "Sequence-AltUp against average pooling"),
                    ], results)))
        comparison.addOneSize(to: &report, results, chart: "sequence-altup")
        report.add(
            .text(
                "Average pooling is for encoders alone: a causal model would see tokens that come later."))
        comparison.addTasks(to: &report, results, chart: "sequence-altup-tasks")
        report.add(.heading("Published"))
        report.add(.text(AltUpPaper.unread))
        return report
    }
}
