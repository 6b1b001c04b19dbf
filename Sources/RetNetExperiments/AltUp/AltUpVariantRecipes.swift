import RetNetPlots
import RetNetReporting

/// AltUp with 2 and 4 streams (blocks in the paper), with alternating layers and with all layers on one stream.
public struct AltUpBlocksRecipe: ComparisonRecipe {
    /// `altup-blocks`.
    public static let name = "altup-blocks"
    /// The ablation of the authors.
    public static let summary =
        "RetNet and T5: AltUp with 2 and 4 blocks, alternating or always the same, and Sum (ablations of AltUp)"

    let comparison: AltUpComparison

    /// Plans the largest size of the main comparison, because 4 streams need 4 layers.
    public init(_ context: ExperimentContext) throws {
        let plan = AltUpPlan(context, tinyStepFactor: 0.75, tunesTiny: false)
        comparison = try AltUpComparison(
            context, plan: plan, families: [.retnet, .t5], sizes: plan.only(context.scale == .paper ? 1 : 2),
            variants: [.dense, .sum, .altUpSame, .altUp, .sumFour, .altUpFourSame, .altUpFour].map {
                ($0, 0...0)
            })
    }

    /// Reports accuracies and latencies, and which variants are better.
    public func report(_ results: [UnitResult]) throws -> ExperimentReport {
        var report = ExperimentReport(title: "Blocks of AltUp")
        report.add(comparison.method())
        report.add(
            .text(
                comparison.pairs(
                    [
                        (.altUp, .altUpSame, "alternating compared with the same block, K=2"),
                        (.altUpFour, .altUpFourSame, "alternating compared with the same block, K=4"),
                        (.altUpFour, .altUp, "K=4 compared with K=2"),
                        (.altUp, .sum, "AltUp compared with Sum, K=2"),
                    ], results)))
        comparison.addOneSize(to: &report, results, chart: "altup-blocks")
        comparison.addTasks(to: &report, results, chart: "altup-blocks-tasks")
        report.add(.heading("Published"))
        report.add(.text(AltUpPaper.unread))
        return report
    }
}

/// Sequence-AltUp and its baselines: stride-and-skip and average pooling.
public struct SequenceAltUpRecipe: ComparisonRecipe {
    /// `sequence-altup`.
    public static let name = "sequence-altup"
    /// The comparison of ways to shorten sequences by the authors.
    public static let summary =
        "T5, RetNet and Transformer: Sequence-AltUp, stride-and-skip and average pooling (Sequence-AltUp)"

    let comparison: AltUpComparison

    /// Plans the largest size of the main comparison, because the first and the last layer read all tokens.
    public init(_ context: ExperimentContext) throws {
        let plan = AltUpPlan(context)
        comparison = try AltUpComparison(
            context, plan: plan, families: [.retnet, .transformer, .t5],
            sizes: plan.only(context.scale == .paper ? 1 : 2),
            variants: [.dense, .pool, .skip, .sequence].map { ($0, 0...0) })
    }

    /// Reports accuracies and latencies, and which variants are better.
    public func report(_ results: [UnitResult]) throws -> ExperimentReport {
        var report = ExperimentReport(title: "Sequence-AltUp and other ways to shorten sequences")
        report.add(comparison.method())
        report.add(
            .text(
                comparison.pairs(
                    [
                        (.sequence, .skip, "Sequence-AltUp compared with stride-and-skip"),
                        (.sequence, .pool, "Sequence-AltUp compared with average pooling"),
                    ], results)))
        comparison.addOneSize(to: &report, results, chart: "sequence-altup")
        report.add(
            .text(
                "Average pooling applies to encoders only: in a causal model, later tokens would influence earlier ones."
            ))
        comparison.addTasks(to: &report, results, chart: "sequence-altup-tasks")
        report.add(.heading("Published"))
        report.add(.text(AltUpPaper.unread))
        return report
    }
}

/// Sparse experts with and without AltUp.
public struct AltUpExpertsRecipe: ComparisonRecipe {
    /// `altup-experts`.
    public static let name = "altup-experts"
    /// The combination studied by the authors.
    public static let summary =
        "RetNet, Transformer and T5: sparse and partial experts with and without AltUp (AltUp with MoE)"

    let comparison: AltUpComparison

    /// Plans the largest size of the main comparison, or the middle one of the paper.
    public init(_ context: ExperimentContext) throws {
        let plan = AltUpPlan(context, tinyStepFactor: 0.75, tunesTiny: false)
        comparison = try AltUpComparison(
            context, plan: plan, families: [.retnet, .transformer, .t5],
            sizes: plan.only(context.scale == .paper ? 1 : 2),
            variants: [.dense, .altUp, .experts, .expertsAltUp, .partial, .partialAltUp].map { ($0, 0...0) })
    }

    /// Reports accuracies and latencies, and if the gains of AltUp and experts are additive.
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

extension AltUpComparison {
    /// Adds charts, scores and latencies of a comparison of variants at one size.
    func addOneSize(to report: inout ExperimentReport, _ results: [UnitResult], chart: String) {
        let charts = families.flatMap { family -> [any Chart] in
            [accuracyPoints(family, results), latencyBars(family, results)]
        }
        report.add(.chart(name: chart, ChartGrid(charts: charts, columnCount: 2)))
        report.add(explanations())
        addScores(to: &report, results)
    }

    /// Compares the accuracy of pairs of variants by family, with one line per pair.
    func pairs(_ comparisons: [(AltUpVariant, AltUpVariant, String)], _ results: [UnitResult]) -> String {
        comparisons.compactMap { first, second, title -> String? in
            let answers = families.compactMap { family -> String? in
                guard let own = contenders.first(where: { $0.family == family && $0.variant == first }),
                    let other = self.contender(family, second, own.size)
                else { return nil }
                let gap = difference(own, other, "accuracy", results)
                let points = Self.points(Sample(gap.values.map { 100 * $0 }))
                return "\(family.title) \(Self.verdict(gap)) (\(points) points)"
            }
            return answers.isEmpty ? nil : "* **\(title):** \(answers.joined(separator: ", "))"
        }.joined(separator: "\n")
    }

    // MARK: Charts

    /// Returns the accuracy of a family's variants at one size.
    func accuracyPoints(_ family: AltUpFamily, _ results: [UnitResult], title: String? = nil) -> BarChart {
        let own = contenders.filter { $0.family == family }
        let samples = own.map { accuracy($0, results) }
        return BarChart(
            title: title ?? family.title, subtitle: "mean and standard deviation of seeds; higher is better",
            categories: own.map(\.variant.title), valueAxis: ChartAxis("\(family.accuracyTitle) (%)"),
            series: [
                BarChart.Series(
                    name: "", values: samples.map(\.mean), errors: samples.map(\.standardDeviation))
            ], mark: .points)
    }

    /// Returns the latency of all passes as multiples of the dense model's.
    func latencyBars(_ family: AltUpFamily, _ results: [UnitResult]) -> BarChart {
        let own = contenders.filter { $0.family == family }
        func ratios(_ pass: AltUpLatency.Pass) -> [Double?] {
            own.map { contender in
                Self.ratio(
                    latency(contender, pass, results),
                    dense(of: contender).map { latency($0, pass, results) })
            }
        }
        return BarChart(
            title: "\(family.title), latency", subtitle: "multiples of the dense model's latency",
            categories: own.map(\.variant.title), valueAxis: ChartAxis("relative to dense"),
            series: [
                BarChart.Series(name: "forward", values: ratios(.forward)),
                BarChart.Series(name: "forward and backward", values: ratios(.training)),
                BarChart.Series(name: "generation step", values: ratios(.step)),
            ], referenceLines: [LineChart.ReferenceLine(y: 1)], showsValues: false)
    }
}
