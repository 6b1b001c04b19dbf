import RetNetReporting

/// Dense models, AltUp, Recycled-AltUp, Sum and Dense2X at three sizes, decoder-only.
public struct AltUpRecipe: ComparisonRecipe {
    /// `altup`.
    public static let name = "altup"
    /// The authors' main comparison, on models that they do not have.
    public static let summary =
        "RetNet and Transformer: dense, AltUp, Recycled-AltUp, Sum and Dense2X at three sizes (AltUp)"

    let comparison: AltUpComparison

    /// Widths from 64 to 128 for `tiny`, to 384 for `small`, those of T5 small to large for `paper`.
    public init(_ context: ExperimentContext) throws {
        let plan = AltUpPlan(context)
        comparison = try AltUpComparison(
            context, plan: plan, families: [.retnet, .transformer], sizes: plan.sizes,
            variants: AltUpPlan.sizeVariants)
    }

    /// Accuracy against latency, scores, latencies, speed-ups.
    public func report(_ results: [UnitResult]) throws -> ExperimentReport {
        var report = ExperimentReport(title: "AltUp around RetNet and the Transformer")
        report.add(comparison.method())
        comparison.addSizes(to: &report, results, chart: "altup")
        comparison.addTasks(to: &report, results, chart: "altup-tasks")
        report.add(.heading("Published"))
        report.add(.text(AltUpPaper.unread))
        report.add(AltUpPaper.speedUps)
        return report
    }
}
