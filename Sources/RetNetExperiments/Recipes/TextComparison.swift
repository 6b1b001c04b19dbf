import Foundation
import RetNetModels
import RetNetPlots
import RetNetReporting
import RetNetStorage

/// What the recipes share that train contenders on one text and score them on several.
struct TextComparison: RecipeComparison {
    let context: ExperimentContext
    let contenders: [Contender]
    let run: TextRun

    /// Throws ``ExperimentError/unusable(_:)`` for learning rates of models that do not take part.
    init(context: ExperimentContext, contenders: [Contender], run: TextRun) throws {
        self.context = context
        self.run = run
        let known = Set(contenders.map(\.key))
        if let stranger = context.learningRates.keys.sorted().first(where: { !known.contains($0) }) {
            throw ExperimentError.unusable(
                "no contender '\(stranger)' takes part that could have a learning rate; there are"
                    + " \(known.sorted().joined(separator: ", "))")
        }
        self.contenders = contenders.map { contender in
            var result = contender
            result.learningRate = context.learningRates[contender.key] ?? contender.learningRate
            return result
        }
    }

    /// What results depend on: training and models.
    var settings: [String: String] {
        let models = contenders.map { $0.fingerprint + " \($0.learningRate ?? 0)" }.joined(separator: " ")
        return [
            "training": run.settings.text,
            "models": Checksum.hexadecimal(Checksum.crc32(Data(models.utf8))),
        ]
    }

    /// One unit a contender and seed; seeds outermost, so that an early stop leaves complete comparisons.
    func units() throws -> [ExperimentUnit] {
        let costs = try contenders.map { try ModelAccounting($0.configuration).trainingFLOPsPerToken }
        let largest = Double(costs.max() ?? 1)
        return context.seeds.flatMap { seed in
            zip(contenders, costs).map { contender, cost in
                ExperimentUnit(
                    id: "\(contender.slug)-seed\(seed)", contender: contender.name, seed: seed,
                    weight: 10 * Double(cost) / largest
                ) { progress in
                    try run.values(
                        contender.configuration, seed: seed, learningRate: contender.learningRate, progress)
                }
            }
        }
    }

    /// The work of all units; nil at the smallest scale.
    func estimate() throws -> ExperimentCost? {
        guard context.scale != .tiny else { return nil }
        var cost = ExperimentCost(trainingFLOPs: 0, tokenCount: 0, modelCount: 0, largestByteCount: 0)
        for contender in contenders {
            let accounting = try ModelAccounting(contender.configuration)
            let tokens = Double(run.settings.tokenCount) * Double(context.seeds.count)
            cost.trainingFLOPs += tokens * Double(accounting.trainingFLOPsPerToken)
            cost.tokenCount += tokens
            cost.modelCount += context.seeds.count
            cost.largestByteCount = max(
                cost.largestByteCount,
                accounting.trainingByteCount(mixedPrecision: context.computeType == .bfloat16))
        }
        if context.scale == .paper {
            cost.remarks.append(
                "Sizes, tokens and schedule are the paper's as far as it states them; tokenizer, vocabulary and the"
                    + " text are not stated, so this reads bytes of the text given.")
        }
        return cost
    }

    // MARK: Report

    /// The columns of scores: validation text, then the domains.
    var columns: [(key: String, title: String)] {
        [("validation", "in-domain")]
            + context.texts.domains.map { (TextRun.key(domain: $0.name), $0.name) }
    }

    /// How everything was done, for the head of a report.
    func method() -> ExperimentReport.Section {
        let size = contenders[0].configuration
        return .text(
            """
            **What was done.** \(contenders.count) contenders, \(size.layerCount) layers of width \
            \(size.hiddenSize), \(context.seeds.count) seeds each, all with the same order of text, tokens, schedule \
            and budget of parameters: \(run.settings.text). \(rates)\(context.texts.origin) Passes in \
            \(context.computeType.rawValue). Figures are means ± standard deviations over seeds.
            """)
    }

    /// Learning rates that differ from that of the rest, as a sentence.
    var rates: String {
        let own = contenders.filter { $0.learningRate != nil && $0.learningRate != run.settings.learningRate }
        guard !own.isEmpty else { return "" }
        let list = own.map { "\($0.name) \($0.learningRate ?? 0)" }.joined(separator: ", ")
        return "Learning rates of their own: \(list). "
    }

    /// Scores of all contenders: nats a byte on every text.
    func scoreTable(_ results: [UnitResult]) -> MarkdownTable {
        var table = MarkdownTable(
            header: ["contender", "parameters", "in blocks", "state"]
                + columns.map { "\($0.title) (nats/byte)" }
                + ["in-domain (bits/byte)"],
            alignments: [.left] + [ColumnAlignment](repeating: .right, count: columns.count + 4))
        for contender in contenders {
            func size(_ key: String) -> String {
                results.sample(contender.name, key).mean.map { Format.count($0) } ?? "–"
            }
            let bits = Sample(results.sample(contender.name, "validation").values.map { $0 / log(2) })
            table.append(
                [contender.name, size("parameters"), size("block_parameters"), size("state_numbers")]
                    + columns.map { results.sample(contender.name, $0.key).text(decimals: 3) }
                    + [bits.text(decimals: 3)])
        }
        return table
    }

    /// Which contenders diverged, as a sentence; nil for none.
    func divergence(_ results: [UnitResult]) -> ExperimentReport.Section? {
        let counts = contenders.compactMap { contender -> String? in
            let count = results.sample(contender.name, "diverged").count
            return count > 0 ? "\(contender.name) with \(count) of \(context.seeds.count) seeds" : nil
        }
        guard !counts.isEmpty else { return nil }
        return .text("**Diverged, and not in the means:** \(counts.joined(separator: ", ")).")
    }

    /// Gaps to a base in nats, ours in nats a byte beside published ones in nats a token on the like text.
    func gapTable(_ results: [UnitResult], base: String, published: PublishedTable) -> MarkdownTable {
        var titles: [String] = []
        for column in columns {
            titles.append("\(column.title), here")
            if let theirs = Self.published(column.title, in: published) { titles.append("\(theirs), paper") }
        }
        var table = MarkdownTable(
            header: ["gap to \(base) (nats)"] + titles,
            alignments: [.left] + [ColumnAlignment](repeating: .right, count: titles.count))
        for contender in contenders where contender.name != base {
            var row = [contender.name]
            for column in columns {
                row.append(
                    Self.gap(results.sample(contender.name, column.key), results.sample(base, column.key))
                        .map(Self.signed) ?? "–")
                guard let theirs = Self.published(column.title, in: published) else { continue }
                row.append(
                    Self.publishedGap(contender.name, base: base, theirs, in: published).map(Self.signed)
                        ?? "–")
            }
            table.append(row)
        }
        return table
    }

    /// Which of the published in-domain orderings against the base hold here, in one line.
    func agreement(_ results: [UnitResult], base: String, published: PublishedTable) -> String {
        var (agree, differ, open): ([String], [String], [String]) = ([], [], [])
        let own = results.sample(base, "validation")
        for contender in contenders where contender.name != base {
            guard let gap = Self.publishedGap(contender.name, base: base, "in-domain", in: published) else {
                continue
            }
            let sample = results.sample(contender.name, "validation")
            if own.isClearlyBelow(sample) {
                if gap < 0 { differ.append(contender.name) } else { agree.append(contender.name) }
            } else if sample.isClearlyBelow(own) {
                if gap < 0 { agree.append(contender.name) } else { differ.append(contender.name) }
            } else {
                open.append(contender.name)
            }
        }
        func list(_ names: [String]) -> String { names.isEmpty ? "none" : names.joined(separator: ", ") }
        return
            "**Ordering against \(base), in domain:** agrees with the paper for \(list(agree)); differs for"
            + " \(list(differ)); not decided by these seeds for \(list(open))."
            + " (Decided: means further apart than both standard deviations together.)"
    }

    /// Points for the in-domain scores.
    func chart(_ results: [UnitResult], title: String) -> BarChart {
        let samples = contenders.map { results.sample($0.name, "validation") }
        return BarChart(
            title: title, subtitle: "held-out text, mean and standard deviation of seeds; lower is better",
            categories: contenders.map(\.name), valueAxis: ChartAxis("nats a byte"),
            series: [
                BarChart.Series(
                    name: "", values: samples.map(\.mean), errors: samples.map(\.standardDeviation))
            ], mark: .points)
    }

    // MARK: Gaps

    /// The difference of two means.
    static func gap(_ sample: Sample, _ base: Sample) -> Double? {
        guard let mean = sample.mean, let baseMean = base.mean else { return nil }
        return mean - baseMean
    }

    /// The gap between two published perplexities of a column, in nats.
    static func publishedGap(_ contender: String, base: String, _ column: String, in table: PublishedTable)
        -> Double?
    {
        let name = table.rows.map(\.name).first { contender == $0 || contender.hasPrefix($0 + "-") }
        guard let name, let ours = table.value(name, column), let reference = table.value(base, column) else {
            return nil
        }
        return log(ours.value / reference.value)
    }

    /// The published column that one of ours is like: the same name, and PG22's books for novels.
    static func published(_ column: String, in table: PublishedTable) -> String? {
        let name = column == "novels" ? "PG22" : column
        return table.columns.contains(name) ? name : nil
    }

    /// A number with its sign.
    static func signed(_ value: Double) -> String {
        (value < 0 ? "−" : "+") + Format.fixed(abs(value), decimals: 3)
    }
}
