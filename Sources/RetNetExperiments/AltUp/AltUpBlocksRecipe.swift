import RetNetReporting

/// AltUp with 2 and 4 blocks, with alternating layers and with all layers on one block.
public struct AltUpBlocksRecipe: ComparisonRecipe {
    /// `altup-blocks`.
    public static let name = "altup-blocks"
    /// The authors' ablation.
    public static let summary =
        "RetNet and T5: 2 and 4 blocks, alternating and always the same, against Sum (AltUp's ablations)"

    let comparison: AltUpComparison

    /// The largest size of the main comparison, for 4 blocks need 4 layers.
    public init(_ context: ExperimentContext) throws {
        let plan = AltUpPlan(context, tinyStepFactor: 0.75, tunesTiny: false)
        comparison = try AltUpComparison(
            context, plan: plan, families: [.retnet, .t5], sizes: plan.only(context.scale == .paper ? 1 : 2),
            variants: [.dense, .sum, .altUpSame, .altUp, .sumFour, .altUpFourSame, .altUpFour].map {
                ($0, 0...0)
            })
    }

    /// Bars of accuracy, with all numbers.
    public func report(_ results: [UnitResult]) throws -> ExperimentReport {
        var report = ExperimentReport(title: "Blocks of AltUp")
        report.add(comparison.method())
        report.add(
            .text(
                comparison.pairs(
                    [
                        (.altUp, .altUpSame, "alternating against same block, K=2"),
                        (.altUpFour, .altUpFourSame, "alternating against same block, K=4"),
                        (.altUpFour, .altUp, "K=4 against K=2"), (.altUp, .sum, "AltUp against Sum, K=2"),
                    ], results)))
        comparison.addOneSize(to: &report, results, chart: "altup-blocks")
        comparison.addTasks(to: &report, results, chart: "altup-blocks-tasks")
        report.add(.heading("Published"))
        report.add(.text(AltUpPaper.unread))
        return report
    }
}
