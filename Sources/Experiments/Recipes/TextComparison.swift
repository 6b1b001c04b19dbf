import Foundation
import Models
import Reporting

/// What the recipes share that train contenders on one text and score them on several.
struct TextComparison {
    let context: ExperimentContext
    let contenders: [Contender]
    let run: TextRun

    /// One unit a contender and seed; seeds outermost, so that an early stop leaves complete comparisons.
    func units() -> [ExperimentUnit] {
        context.seeds.flatMap { seed in
            contenders.map { contender in
                ExperimentUnit(
                    id: "\(contender.slug)-seed\(seed)", contender: contender.name, seed: seed, weight: 10
                ) { progress in
                    try run.values(
                        contender.configuration, seed: seed, learningRate: contender.learningRate, progress)
                }
            }
        }
    }

    /// The work of all units.
    func estimate() throws -> ExperimentCost {
        var cost = ExperimentCost(trainingFLOPs: 0, tokenCount: 0, modelCount: 0, largestByteCount: 0)
        for contender in contenders {
            let accounting = try ModelAccounting(contender.configuration)
            let tokens = Double(run.settings.tokenCount * context.seeds.count)
            cost.trainingFLOPs += tokens * Double(accounting.trainingFLOPsPerToken)
            cost.tokenCount += tokens
            cost.modelCount += context.seeds.count
            cost.largestByteCount = max(
                cost.largestByteCount, accounting.trainingByteCount(mixedPrecision: true))
        }
        return cost
    }

    // MARK: Report

    /// The columns of scores: validation text, then the domains.
    var columns: [(key: String, title: String)] {
        [("validation", "in-domain")] + context.texts.domains.map { ($0.name, $0.name) }
    }

    /// How everything was done, for the head of a report.
    func method() -> ExperimentReport.Section {
        let size = contenders[0].configuration
        return .text(
            """
            **What was done.** \(contenders.count) contenders, \(size.layerCount) layers of width \
            \(size.hiddenSize), \(context.seeds.count) seeds each, all with the same order of text, tokens, schedule \
            and budget of parameters: \(run.settings.text). \(context.texts.origin) Passes in \
            \(context.computeType). Figures are means ± standard deviations over seeds.
            """)
    }

    /// Scores of all contenders: nats a byte on every text.
    func scoreTable(_ results: [UnitResult]) -> MarkdownTable {
        var table = MarkdownTable(
            header: ["contender", "parameters", "state"] + columns.map { "\($0.title) (nats/byte)" },
            alignments: [.left] + [ColumnAlignment](repeating: .right, count: columns.count + 2))
        for contender in contenders {
            let parameters = results.sample(contender.name, "parameters").mean ?? 0
            let state = results.sample(contender.name, "state_numbers").mean ?? 0
            table.append(
                [contender.name, Format.count(parameters), Format.count(state)]
                    + columns.map { results.sample(contender.name, $0.key).text(decimals: 3) })
        }
        return table
    }

    /// Gaps to a base in nats, ours in nats a byte beside published ones in nats a token.
    func gapTable(
        _ results: [UnitResult], base: String, published: [(contender: String, values: [Double])],
        publishedColumns: [String]
    ) -> MarkdownTable {
        let titles = columns.map { "\($0.title), here" } + publishedColumns.map { "\($0), paper" }
        var table = MarkdownTable(
            header: ["gap to \(base) (nats)"] + titles,
            alignments: [.left] + [ColumnAlignment](repeating: .right, count: titles.count))
        let publishedBase = published.first { $0.contender == base }?.values
        for contender in contenders where contender.name != base {
            var row = [contender.name]
            for column in columns {
                let ours = results.sample(contender.name, column.key).mean
                let reference = results.sample(base, column.key).mean
                row.append(ours.flatMap { a in reference.map { Self.signed(a - $0) } } ?? "–")
            }
            let theirs = published.first { Self.matches($0.contender, contender.name) }?.values
            for index in publishedColumns.indices {
                guard let theirs, let publishedBase else {
                    row.append("–")
                    continue
                }
                row.append(Self.signed(log(theirs[index] / publishedBase[index])))
            }
            table.append(row)
        }
        return table
    }

    /// Which of the published in-domain orderings against the base hold here, in one line.
    func agreement(
        _ results: [UnitResult], base: String, published: [(contender: String, values: [Double])]
    ) -> String {
        guard let publishedBase = published.first(where: { $0.contender == base })?.values.first else { return "" }
        var (agree, differ, open): ([String], [String], [String]) = ([], [], [])
        let own = results.sample(base, "validation")
        for contender in contenders where contender.name != base {
            guard let theirs = published.first(where: { Self.matches($0.contender, contender.name) })?.values.first
            else { continue }
            let sample = results.sample(contender.name, "validation")
            let better = theirs < publishedBase
            if own.isClearlyBelow(sample) {
                if better { differ.append(contender.name) } else { agree.append(contender.name) }
            } else if sample.isClearlyBelow(own) {
                if better { agree.append(contender.name) } else { differ.append(contender.name) }
            } else {
                open.append(contender.name)
            }
        }
        func list(_ names: [String]) -> String { names.isEmpty ? "none" : names.joined(separator: ", ") }
        return "**Ordering against \(base), in domain:** agrees with the paper for \(list(agree)); differs for"
            + " \(list(differ)); within the spread of seeds for \(list(open))."
    }

    /// Bars of the in-domain scores.
    func chart(_ results: [UnitResult], title: String) -> BarChart {
        let samples = contenders.map { results.sample($0.name, "validation") }
        let values = samples.compactMap(\.mean)
        let low = (values.min() ?? 0) * 0.9
        let high = (values.max() ?? 1) * 1.04
        return BarChart(
            title: title, subtitle: "nats a byte on held-out text, mean and standard deviation of seeds",
            categories: contenders.map(\.name),
            valueAxis: ChartAxis("nats a byte", range: high > low ? low...high : nil),
            series: [
                BarChart.Series(
                    name: "", values: samples.map(\.mean), errors: samples.map(\.standardDeviation))
            ])
    }

    static func matches(_ published: String, _ ours: String) -> Bool {
        ours == published || ours.hasPrefix(published + "-")
    }

    static func signed(_ value: Double) -> String {
        (value < 0 ? "−" : "+") + Format.fixed(abs(value), decimals: 3)
    }
}
