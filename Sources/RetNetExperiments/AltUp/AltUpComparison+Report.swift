import Foundation
import RetNetPlots
import RetNetReporting

extension AltUpComparison {
    // MARK: Text

    /// How everything was done, for the head of a report.
    func method() -> ExperimentReport.Section {
        var sentences = [
            "**What was done.** \(rows.count) models, \(context.seeds.count) seeds each, all of a family with the same"
                + " order of text, tokens and schedule."
        ]
        let decoders = families.filter { $0 != .t5 }.map(\.title)
        if !decoders.isEmpty {
            sentences.append("\(decoders.joined(separator: " and ")): \(textRun.settings.text).")
        }
        if let t5Run {
            sentences.append("T5 v1.1 over bytes: \(t5Run.settings.text).")
        }
        let sizes = rows.reduce(into: [String]()) { list, row in
            let text = Self.sizeText(row)
            if row.variant == .dense || !rows.contains(where: { $0.variant == .dense }),
                !list.contains(text)
            {
                list.append(text)
            }
        }
        sentences.append("Sizes: \(sizes.joined(separator: "; ")).")
        sentences.append("\(context.texts.origin) Passes in \(context.computeType.rawValue).")
        sentences.append("Figures are means ± standard deviations over seeds.")
        return .text(sentences.joined(separator: " "))
    }

    private static func sizeText(_ row: AltUpRow) -> String {
        switch row.architecture {
        case .decoder(let model):
            "\(row.group) \(model.layerCount) layers of width \(model.hiddenSize), learning rate \(row.learningRate)"
        case .encoderDecoder(let model):
            "\(row.group) \(model.encoderLayerCount)+\(model.decoderLayerCount) layers of width"
                + " \(model.hiddenSize), learning rate \(row.learningRate)"
        }
    }

    /// What the variants are.
    func explanations() -> ExperimentReport.Section {
        .text(variants.map { "*\($0.title)*: \($0.explanation)." }.joined(separator: " "))
    }

    /// Which models diverged; nil for none.
    func divergence(_ results: [UnitResult]) -> ExperimentReport.Section? {
        let counts = rows.compactMap { row -> String? in
            let count = results.sample(row.name, "diverged").count
            return count > 0 ? "\(row.name) with \(count) of \(context.seeds.count) seeds" : nil
        }
        guard !counts.isEmpty else { return nil }
        return .text("**Diverged, and not in the means:** \(counts.joined(separator: "; ")).")
    }

    // MARK: Samples

    /// The accuracy in percent.
    func accuracy(_ row: AltUpRow, _ results: [UnitResult]) -> Sample {
        Sample(results.sample(row.name, "accuracy").values.map { 100 * $0 })
    }

    /// Seconds of a pass, one number a seed.
    func latency(_ row: AltUpRow, _ pass: AltUpLatency.Pass, _ results: [UnitResult]) -> Sample {
        results.sample(Self.latencyContender, pass.key(row))
    }

    /// Differences of a value to that of another model with the same seed.
    func difference(_ row: AltUpRow, _ base: AltUpRow, _ key: String, _ results: [UnitResult]) -> Sample {
        let own = results.filter { $0.contender == row.name }
        return Sample(
            own.compactMap { result in
                let other = results.first { $0.contender == base.name && $0.seed == result.seed }
                guard let value = result.values[key], let reference = other?.values[key] else { return nil }
                return value - reference
            })
    }

    /// `better` or `worse` where every seed says so and the mean lies further from 0 than the standard deviation.
    static func verdict(_ difference: Sample) -> String {
        guard let mean = difference.mean else { return "not known" }
        let agree = difference.values.allSatisfy { ($0 > 0) == (mean > 0) && $0 != 0 }
        guard agree, abs(mean) > difference.standardDeviation ?? 0 else { return "not decided" }
        return mean > 0 ? "better" : "worse"
    }

    /// What the words of a verdict mean.
    static let verdictNote =
        "Differences are taken between runs of the same seed; *better* and *worse* are said where all seeds agree and"
        + " the mean difference is larger than its standard deviation."

    /// Percent with a sign and the spread.
    static func points(_ sample: Sample, decimals: Int = 2) -> String {
        guard let mean = sample.mean else { return "–" }
        let text = (mean < 0 ? "−" : "+") + Format.fixed(abs(mean), decimals: decimals)
        return sample.standardDeviation.map { "\(text) ± \(Format.fixed($0, decimals: decimals))" } ?? text
    }

    // MARK: Tables

    /// Parameters, loss and accuracy of all models of a family.
    func scoreTable(_ family: AltUpFamily, _ results: [UnitResult]) -> MarkdownTable {
        var table = MarkdownTable(
            header: [
                "model", "parameters", "in embedding and output", "held-out loss (\(family.lossTitle))",
                "accuracy (%)", "to dense (points)", "against dense",
            ], alignments: [.left, .right, .right, .right, .right, .right, .left])
        for row in rows where row.family == family {
            func size(_ key: String) -> String {
                results.sample(row.name, key).mean.map { Format.count($0) } ?? "–"
            }
            var cells = [
                row.name, size("parameters"), size("end_parameters"),
                results.sample(row.name, "loss").text(decimals: 3), accuracy(row, results).text(decimals: 2),
            ]
            if row.variant != .dense, let dense = self.row(family, .dense, row.size) {
                let gap = difference(row, dense, "accuracy", results)
                cells += [Self.points(Sample(gap.values.map { 100 * $0 })), Self.verdict(gap)]
            }
            table.append(cells)
        }
        return table
    }

    /// Medians of all passes, with their ratio to the dense model of the same size.
    func latencyTable(_ family: AltUpFamily, _ results: [UnitResult]) -> MarkdownTable {
        let passes: [(AltUpLatency.Pass, String)] = [
            (.forward, "forward"), (.training, "forward and backward"), (.step, "step of generation"),
        ]
        var table = MarkdownTable(
            header: ["model"] + passes.flatMap { ["\($0.1) (ms)", "of dense"] },
            alignments: [.left] + passes.flatMap { _ in [.right, .right] })
        for row in rows where row.family == family {
            let dense = self.row(family, .dense, row.size)
            table.append(
                [row.name]
                    + passes.flatMap { pass, _ in
                        let own = latency(row, pass, results)
                        let base = dense.map { latency($0, pass, results) }
                        return [
                            own.median.map { Format.number($0 * 1000, significantDigits: 3) } ?? "–",
                            Self.ratio(own, base).map { Format.fixed($0, decimals: 2) } ?? "–",
                        ]
                    })
        }
        return table
    }

    /// The median of ratios measured in the same run.
    static func ratio(_ own: Sample, _ base: Sample?) -> Double? {
        guard let base, own.count == base.count else { return nil }
        return Sample(zip(own.values, base.values).map { $0 / $1 }).median
    }

    /// What latency is, and whether it was disturbed.
    func latencyNotes(_ results: [UnitResult]) -> [ExperimentReport.Section] {
        var texts: [String] = []
        if families.contains(where: { $0 != .t5 }) {
            texts.append(
                "Decoder-only models: a batch of \(plan.decoder.batch) x \(plan.decoder.length) bytes; steps of one"
                    + " sequence after \(plan.decoder.length / 2) bytes.")
        }
        if families.contains(.t5), let lengths = try? plan.t5.lengths {
            texts.append(
                "T5: a batch of \(plan.t5.batch) x \(lengths.source) source and \(lengths.target) target tokens; steps"
                    + " of one sequence after \(lengths.target / 2) tokens.")
        }
        var sections: [ExperimentReport.Section] = [
            .text(
                "Latency is measured with all models in turns, forwards and backwards, in \(plan.roundCount) rounds after"
                    + " each seed on \(context.machine); figures are medians of the \(context.seeds.count) medians."
                    + " Training passes are without the optimiser's step. \(texts.joined(separator: " "))")
        ]
        let busy = rows.filter { row in
            guard let range = latency(row, .forward, results).range, range.lowerBound > 0 else {
                return false
            }
            return range.upperBound > 1.5 * range.lowerBound
        }
        if !busy.isEmpty {
            sections.append(
                .text(
                    "**Rounds differ** by more than half for \(busy.count) of \(rows.count) models, so other programs"
                        + " were at work: latencies in milliseconds say little; ratios are of the same moments."
                ))
        }
        return sections
    }

    // MARK: Speed-up

    /// The speed-up of a model over the dense ones of its family: from means, and the range over seeds.
    ///
    /// `floor` is the score that takes no skill.
    func speedUp(
        _ row: AltUpRow, key: String = "accuracy", floor: Double? = nil, _ results: [UnitResult]
    ) -> (mean: SpeedUp, seeds: Sample) {
        let dense = rows.filter { $0.family == row.family && $0.variant == .dense }
        func value(_ accuracy: (AltUpRow) -> Double?, _ latency: (AltUpRow) -> Double?) -> SpeedUp {
            SpeedUp(
                accuracy: accuracy(row), latency: latency(row),
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

    /// Speed-ups by size of the variants that have any.
    func speedUpTable(
        _ family: AltUpFamily, keys: [(key: String, title: String, floor: Double?)], _ results: [UnitResult]
    ) -> MarkdownTable {
        var table = MarkdownTable(
            header: ["speed-up of"] + keys.map { "at the same \($0.title)" },
            alignments: [.left] + keys.map { _ in .left })
        for row in rows where row.family == family && row.variant != .dense {
            table.append(
                [row.name]
                    + keys.map { key, _, floor in
                        let (mean, seeds) = speedUp(row, key: key, floor: floor, results)
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

    // MARK: Charts

    /// Accuracy over latency, one line a variant and a point a size: what the authors' figures show.
    func frontier(_ family: AltUpFamily, _ results: [UnitResult]) -> LineChart {
        let series = variants.compactMap { variant -> LineChart.Series? in
            let points = rows.filter { $0.family == family && $0.variant == variant }
                .compactMap { row -> (Double, Sample)? in
                    guard let time = latency(row, .forward, results).median else { return nil }
                    return (time * 1000, accuracy(row, results))
                }
            return points.isEmpty ? nil : .means(name: variant.title, points)
        }
        return LineChart(
            title: family.title, subtitle: "mean and standard deviation of seeds, sizes S to L",
            xAxis: ChartAxis("ms forward"), yAxis: ChartAxis("\(family.accuracyTitle) (%)"), series: series,
            legend: .top)
    }

    /// Points for the accuracy of a family's variants at one size.
    func accuracyPoints(_ family: AltUpFamily, _ results: [UnitResult], title: String? = nil) -> BarChart {
        let own = rows.filter { $0.family == family }
        let samples = own.map { accuracy($0, results) }
        return BarChart(
            title: title ?? family.title, subtitle: "mean and standard deviation of seeds; higher is better",
            categories: own.map(\.variant.title), valueAxis: ChartAxis("\(family.accuracyTitle) (%)"),
            series: [
                BarChart.Series(
                    name: "", values: samples.map(\.mean), errors: samples.map(\.standardDeviation))
            ], mark: .points)
    }

    /// Bars of the passes' latencies as multiples of the dense model's.
    func latencyBars(_ family: AltUpFamily, _ results: [UnitResult]) -> BarChart {
        let own = rows.filter { $0.family == family }
        func ratios(_ pass: AltUpLatency.Pass) -> [Double?] {
            own.map { row in
                Self.ratio(
                    latency(row, pass, results),
                    self.row(family, .dense, row.size).map { latency($0, pass, results) })
            }
        }
        return BarChart(
            title: "\(family.title), latency", subtitle: "as a multiple of the dense model's",
            categories: own.map(\.variant.title), valueAxis: ChartAxis("times dense"),
            series: [
                BarChart.Series(name: "forward", values: ratios(.forward)),
                BarChart.Series(name: "forward and backward", values: ratios(.training)),
                BarChart.Series(name: "step of generation", values: ratios(.step)),
            ], referenceLines: [LineChart.ReferenceLine(y: 1)], showsValues: false)
    }
}
