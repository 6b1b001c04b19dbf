import RetNetPlots
import RetNetReporting

extension AltUpComparison {
    /// Everything that a comparison over sizes reports of its families: verdicts, plots, scores, latency, speed-up.
    func addSizes(to report: inout ExperimentReport, _ results: [UnitResult], chart: String) {
        report.add(.text(families.map { verdict($0, results) }.joined(separator: "\n\n")))
        let charts = families.map { frontier($0, results) }
        if charts.count == 1, let only = charts.first {
            report.add(.chart(name: chart, only))
        } else {
            report.add(
                .chart(
                    name: chart, ChartGrid(title: "Accuracy against latency", charts: charts, columnCount: 2))
            )
        }
        report.add(explanations())
        addScores(to: &report, results)
        report.add(.heading("Speed-up"))
        report.add(
            .text(
                "As the authors define it: the latency of dense models, interpolated to the accuracy of the model and less"
                    + " its own, as a share of its own. Forward passes count. Outside the range of the dense models there"
                    + " is no figure. In parentheses the range over seeds, each with its own accuracies and latencies."
            ))
        for family in families {
            report.add(.table(speedUpTable(family, keys: [("accuracy", "accuracy", nil)], results)))
        }
    }

    /// Scores and latencies of every family, in the same words for all comparisons.
    func addScores(to report: inout ExperimentReport, _ results: [UnitResult]) {
        report.add(.heading("Scores"))
        for family in families { report.add(.table(scoreTable(family, results))) }
        report.add(.text(Self.verdictNote))
        if let section = divergence(results) { report.add(section) }
        report.add(.heading("Latency"))
        for section in latencyNotes(results) { report.add(section) }
        for family in families { report.add(.table(latencyTable(family, results))) }
    }

    /// What holds of the authors' statements for a family, in one line each.
    private func verdict(_ family: AltUpFamily, _ results: [UnitResult]) -> String {
        let what = family == .t5 ? "T5" : "\(family.title) (the authors have no such model)"
        var sentences: [String] = []
        for (variant, claim) in [
            (AltUpVariant.altUp, AltUpPaper.sameSpeed), (.recycled, AltUpPaper.recycled),
        ] {
            let own = rows.filter { $0.family == family && $0.variant == variant }
            guard !own.isEmpty else { continue }
            sentences.append("the authors state that \(claim). Here: \(findings(own, results)).")
        }
        return "**\(what):** " + sentences.joined(separator: " And ")
    }

    /// Sizes by what they say of a statement about accuracy at equal latency.
    private func findings(_ own: [AltUpRow], _ results: [UnitResult]) -> String {
        own.map { row in
            let dense = self.row(row.family, .dense, row.size)
            let verdict =
                dense.map { Self.verdict(difference(row, $0, "accuracy", results)) } ?? "not known"
            let slower = dense.flatMap { base in
                Self.ratio(latency(row, .forward, results), latency(base, .forward, results))
            }
            let cost = slower.map { "at \(Format.fixed($0, decimals: 2)) times the latency" } ?? ""
            let gain = speedUp(row, results).mean
            let end: String
            switch gain {
            case .value(let fraction):
                end = "speed-up \(gain.text), \(fraction > 0 ? "agrees" : "does not agree")"
            default: end = "no speed-up can be told"
            }
            let words = ["better", "worse"].contains(verdict) ? "\(verdict) than dense" : verdict
            return "\(row.size) \(words) \(cost) (\(end))"
        }.joined(separator: "; ")
    }
}
