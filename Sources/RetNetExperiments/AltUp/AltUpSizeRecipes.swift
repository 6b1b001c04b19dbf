import RetNetPlots
import RetNetReporting

/// Dense models, AltUp, Recycled-AltUp, Sum and Dense2X at three sizes, decoder-only.
public struct AltUpRecipe: ComparisonRecipe {
    /// `altup`.
    public static let name = "altup"
    /// The main comparison of the authors, with models that they do not have.
    public static let summary =
        "RetNet and Transformer: dense, AltUp, Recycled-AltUp, Sum and Dense2X at three sizes (AltUp)"

    let comparison: AltUpComparison

    /// Plans widths from 64 to 128 for `tiny`, to 384 for `small`, and those of T5 small to large for `paper`.
    public init(_ context: ExperimentContext) throws {
        let plan = AltUpPlan(context)
        comparison = try AltUpComparison(
            context, plan: plan, families: [.retnet, .transformer], sizes: plan.sizes,
            variants: AltUpPlan.sizeVariants)
    }

    /// Reports accuracy by latency, scores, latencies and speed-ups.
    public func report(_ results: [UnitResult]) throws -> ExperimentReport {
        var report = ExperimentReport(title: "AltUp with RetNet and the Transformer")
        report.add(comparison.method())
        comparison.addSizes(to: &report, results, chart: "altup")
        comparison.addTasks(to: &report, results, chart: "altup-tasks")
        report.add(.heading("Published"))
        report.add(.text(AltUpPaper.unread))
        report.add(AltUpPaper.speedUps)
        return report
    }
}

/// Dense T5, AltUp, Recycled-AltUp, Sum and Dense2X at three sizes: pretraining, fine-tuning, latency.
public struct AltUpT5Recipe: ComparisonRecipe {
    /// `altup-t5`.
    public static let name = "altup-t5"
    /// The main comparison of the authors.
    public static let summary =
        "T5: the same variants and sizes, with span-corruption pretraining, fine-tuning and speed-up (AltUp)"

    let comparison: AltUpComparison

    /// Plans widths from 64 to 128 for `tiny`, to 384 for `small`, and T5 v1.1 small to large for `paper`.
    public init(_ context: ExperimentContext) throws {
        let plan = AltUpPlan(context)
        comparison = try AltUpComparison(
            context, plan: plan, families: [.t5], sizes: plan.sizes, variants: AltUpPlan.sizeVariants)
    }

    /// Reports accuracy by latency, scores before and after fine-tuning, latencies and speed-ups.
    public func report(_ results: [UnitResult]) throws -> ExperimentReport {
        var report = ExperimentReport(title: "AltUp with T5")
        report.add(comparison.method())
        comparison.addSizes(to: &report, results, chart: "altup-t5")
        comparison.addTasks(to: &report, results, chart: "altup-t5-tasks")
        report.add(.heading("Published"))
        report.add(.text(AltUpPaper.unread))
        report.add(AltUpPaper.speedUps)
        return report
    }
}

extension AltUpComparison {
    /// Adds verdicts, plots, scores, latencies and speed-ups of a comparison over sizes.
    func addSizes(to report: inout ExperimentReport, _ results: [UnitResult], chart: String) {
        report.add(.text(families.map { verdict($0, results) }.joined(separator: "\n\n")))
        let charts = families.map { frontier($0, results) }
        if charts.count == 1, let only = charts.first {
            report.add(.chart(name: chart, only))
        } else {
            report.add(
                .chart(name: chart, ChartGrid(title: "Accuracy by latency", charts: charts, columnCount: 2)))
        }
        report.add(explanations())
        addScores(to: &report, results)
        report.add(.heading("Speed-up"))
        report.add(
            .text(
                "As defined by the authors: the latency of dense models interpolated to the accuracy of the model, minus"
                    + " the latency of the model, divided by the latency of the model. Latency is that of the forward pass."
                    + " There is no figure outside the range of the dense models. In parentheses: the range over seeds, each"
                    + " with its own accuracies and latencies."))
        for family in families {
            report.add(.table(speedUpTable(family, keys: [("accuracy", "accuracy", nil)], results)))
        }
    }

    /// Compares a family with the statements of the authors, in one paragraph.
    private func verdict(_ family: AltUpFamily, _ results: [UnitResult]) -> String {
        let what = family == .t5 ? "T5" : "\(family.title) (not studied by the authors)"
        var sentences: [String] = []
        for (variant, claim) in [
            (AltUpVariant.altUp, AltUpPaper.sameSpeed), (.recycled, AltUpPaper.recycled),
        ] {
            let own = contenders.filter { $0.family == family && $0.variant == variant }
            guard !own.isEmpty else { continue }
            sentences.append("The authors state that \(claim). Here: \(findings(own, results)).")
        }
        return "**\(what):** " + sentences.joined(separator: " ")
    }

    /// Returns the findings on accuracy and latency of some models, in one line.
    private func findings(_ own: [AltUpContender], _ results: [UnitResult]) -> String {
        own.map { contender in
            let dense = dense(of: contender)
            let verdict =
                dense.map { Self.verdict(difference(contender, $0, "accuracy", results)) } ?? "not known"
            let slower = dense.flatMap { base in
                Self.ratio(latency(contender, .forward, results), latency(base, .forward, results))
            }
            let cost = slower.map { "at \(Format.fixed($0, decimals: 2)) times the latency" } ?? ""
            let gain = speedUp(contender, results).mean
            let end: String
            switch gain {
            case .value(let fraction):
                end = "speed-up \(gain.text), \(fraction > 0 ? "agrees" : "does not agree")"
            default: end = "no speed-up is defined"
            }
            let words = ["better", "worse"].contains(verdict) ? "\(verdict) than dense" : verdict
            return "\(contender.size) \(words) \(cost) (\(end))"
        }.joined(separator: "; ")
    }

    // MARK: Speed-up

    /// Returns the speed-up of a model over the dense ones of its family: from means, and per seed.
    ///
    /// `floor` is the score of a constant answer.
    func speedUp(
        _ contender: AltUpContender, key: String = "accuracy", floor: Double? = nil, _ results: [UnitResult]
    ) -> (mean: SpeedUp, seeds: Sample) {
        let dense = contenders.filter { $0.family == contender.family && $0.variant == .dense }
        func value(_ accuracy: (AltUpContender) -> Double?, _ latency: (AltUpContender) -> Double?) -> SpeedUp
        {
            SpeedUp(
                accuracy: accuracy(contender), latency: latency(contender),
                dense: dense.map { (accuracy($0), latency($0)) }, floor: floor)
        }
        let mean = value(
            { results.sample($0.name, key).mean }, { latency($0, .forward, results).median })
        let seeds = context.seeds.compactMap { seed -> Double? in
            let own = results.filter { $0.seed == seed }
            return value(
                { own.sample($0.name, key).mean }, { latency($0, .forward, own).median }
            ).fraction
        }
        return (mean, Sample(seeds))
    }

    /// Returns the speed-ups of all variants of a family.
    func speedUpTable(
        _ family: AltUpFamily, keys: [(key: String, title: String, floor: Double?)], _ results: [UnitResult]
    ) -> MarkdownTable {
        var table = MarkdownTable(
            header: ["speed-up of"] + keys.map { "at the same \($0.title)" },
            alignments: [.left] + keys.map { _ in .left })
        for contender in contenders where contender.family == family && contender.variant != .dense {
            table.append(
                [contender.name]
                    + keys.map { key, _, floor in
                        let (mean, seeds) = speedUp(contender, key: key, floor: floor, results)
                        guard mean.fraction != nil, let range = seeds.range, seeds.count > 1 else {
                            return mean.text
                        }
                        let low = SpeedUp.value(range.lowerBound).text
                        let high = SpeedUp.value(range.upperBound).text
                        let count =
                            seeds.count < context.seeds.count
                            ? ", \(seeds.count) of \(context.seeds.count) seeds" : ""
                        return "\(mean.text) (\(low) to \(high)\(count))"
                    })
        }
        return table
    }

    // MARK: Chart

    /// Returns accuracy by latency, with a line per variant and a point per size, as in the figures of the authors.
    func frontier(_ family: AltUpFamily, _ results: [UnitResult]) -> LineChart {
        let series = variants.compactMap { variant -> LineChart.Series? in
            let points = contenders.filter { $0.family == family && $0.variant == variant }
                .compactMap { contender -> (Double, Sample)? in
                    guard let time = latency(contender, .forward, results).median else { return nil }
                    return (time * 1000, accuracy(contender, results))
                }
            return points.isEmpty ? nil : .means(name: variant.title, points)
        }
        return LineChart(
            title: family.title, subtitle: "mean and standard deviation of seeds, sizes S to L",
            xAxis: ChartAxis("forward pass (ms)"), yAxis: ChartAxis("\(family.accuracyTitle) (%)"),
            series: series, legend: .top)
    }
}
