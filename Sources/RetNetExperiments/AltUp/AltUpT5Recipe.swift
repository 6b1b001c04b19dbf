import RetNetReporting

/// Dense T5, AltUp, Recycled-AltUp, Sum and Dense2X at three sizes: pretraining, fine-tuning, latency.
public struct AltUpT5Recipe: ComparisonRecipe {
    /// `altup-t5`.
    public static let name = "altup-t5"
    /// The authors' main comparison.
    public static let summary =
        "T5: the same, with pretraining by span corruption, fine-tuning and speed-up (AltUp)"

    let comparison: AltUpComparison

    /// Widths from 64 to 128 for `tiny`, to 384 for `small`, T5 v1.1 small to large for `paper`.
    public init(_ context: ExperimentContext) throws {
        let plan = AltUpPlan(context)
        comparison = try AltUpComparison(
            context, plan: plan, families: [.t5], sizes: plan.sizes, variants: AltUpPlan.sizeVariants)
    }

    /// Accuracy against latency, scores before and after fine-tuning, latencies, speed-ups.
    public func report(_ results: [UnitResult]) throws -> ExperimentReport {
        var report = ExperimentReport(title: "AltUp around T5")
        report.add(comparison.method())
        comparison.addSizes(to: &report, results, chart: "altup-t5")
        comparison.addTasks(to: &report, results, chart: "altup-t5-tasks")
        report.add(.heading("Published"))
        report.add(.text(AltUpPaper.unread))
        report.add(AltUpPaper.speedUps)
        return report
    }
}
