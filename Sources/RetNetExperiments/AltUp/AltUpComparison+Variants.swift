import RetNetPlots

extension AltUpComparison {
    /// Everything that a comparison of variants at one size reports: bars, scores, latency.
    func addOneSize(to report: inout ExperimentReport, _ results: [UnitResult], chart: String) {
        let charts = families.flatMap { family -> [any Chart] in
            [accuracyPoints(family, results), latencyBars(family, results)]
        }
        report.add(.chart(name: chart, ChartGrid(charts: charts, columnCount: 2)))
        report.add(explanations())
        addScores(to: &report, results)
    }

    /// Which of two variants is more accurate, by family, one line a question.
    func pairs(_ questions: [(AltUpVariant, AltUpVariant, String)], _ results: [UnitResult]) -> String {
        questions.compactMap { first, second, title -> String? in
            let answers = families.compactMap { family -> String? in
                guard let own = rows.first(where: { $0.family == family && $0.variant == first }),
                    let other = self.row(family, second, own.size)
                else { return nil }
                let gap = difference(own, other, "accuracy", results)
                let points = Self.points(Sample(gap.values.map { 100 * $0 }))
                return "\(family.title) \(Self.verdict(gap)) (\(points) points)"
            }
            return answers.isEmpty ? nil : "* **\(title):** \(answers.joined(separator: ", "))"
        }.joined(separator: "\n")
    }
}
