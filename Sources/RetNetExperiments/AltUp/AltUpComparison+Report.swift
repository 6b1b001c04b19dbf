import Foundation
import RetNetReporting

/// The parts of a report that all comparisons of AltUp share.
extension AltUpComparison {
    // MARK: Text

    /// The methods, for the start of a report.
    func method() -> ExperimentReport.Section {
        var sentences = [
            "**Methods.** \(contenders.count) models, \(context.seeds.count) seeds each, all models of a family with the"
                + " same order of text, number of tokens and schedule."
        ]
        let decoders = families.filter { $0 != .t5 }.map(\.title)
        if !decoders.isEmpty {
            sentences.append("\(decoders.joined(separator: " and ")): \(textTraining.settings.text).")
        }
        if let t5Training { sentences.append("T5 v1.1 over bytes: \(t5Training.settings.text).") }
        let sizes = contenders.reduce(into: [String]()) { list, contender in
            let text = Self.sizeText(contender)
            if contender.variant == .dense || !contenders.contains(where: { $0.variant == .dense }),
                !list.contains(text)
            {
                list.append(text)
            }
        }
        sentences.append("Sizes: \(sizes.joined(separator: "; ")).")
        sentences.append(
            "\(context.texts.origin) Forward and backward passes in \(context.computeType.rawValue).")
        sentences.append("Figures are means ± standard deviations over seeds.")
        return .text(sentences.joined(separator: " "))
    }

    private static func sizeText(_ contender: AltUpContender) -> String {
        switch contender.architecture {
        case .decoder(let model):
            "\(contender.group) \(model.layerCount) layers of width \(model.hiddenSize), learning rate \(contender.learningRate)"
        case .encoderDecoder(let model):
            "\(contender.group) \(model.encoderLayerCount)+\(model.decoderLayerCount) layers of width"
                + " \(model.hiddenSize), learning rate \(contender.learningRate)"
        }
    }

    /// Descriptions of the variants.
    func explanations() -> ExperimentReport.Section {
        .text(variants.map { "*\($0.title)*: \($0.explanation)." }.joined(separator: " "))
    }

    /// Returns a sentence on the models that diverged; nil for none.
    func divergence(_ results: [UnitResult]) -> ExperimentReport.Section? {
        let counts = contenders.compactMap { contender -> String? in
            let count = results.sample(contender.name, "diverged").count
            return count > 0 ? "\(contender.name) with \(count) of \(context.seeds.count) seeds" : nil
        }
        guard !counts.isEmpty else { return nil }
        return .text("**Diverged and not included in the means:** \(counts.joined(separator: "; ")).")
    }

    // MARK: Sections

    /// Adds scores and latencies of every family.
    func addScores(to report: inout ExperimentReport, _ results: [UnitResult]) {
        report.add(.heading("Scores"))
        for family in families { report.add(.table(scoreTable(family, results))) }
        report.add(.text(Self.verdictNote))
        if let section = divergence(results) { report.add(section) }
        report.add(.heading("Latency"))
        for section in latencyNotes(results) { report.add(section) }
        for family in families { report.add(.table(latencyTable(family, results))) }
    }

    // MARK: Samples

    /// Returns the accuracy in percent.
    func accuracy(_ contender: AltUpContender, _ results: [UnitResult]) -> Sample {
        Sample(results.sample(contender.name, "accuracy").values.map { 100 * $0 })
    }

    /// Returns the seconds of a pass, one number per seed.
    func latency(_ contender: AltUpContender, _ pass: AltUpLatency.Pass, _ results: [UnitResult]) -> Sample {
        results.sample(Self.latencyContender, pass.key(contender))
    }

    /// Returns differences of a value to that of another model with the same seed.
    func difference(
        _ contender: AltUpContender, _ base: AltUpContender, _ key: String, _ results: [UnitResult]
    ) -> Sample {
        let own = results.filter { $0.contender == contender.name }
        return Sample(
            own.compactMap { result in
                let other = results.first { $0.contender == base.name && $0.seed == result.seed }
                guard let value = result.values[key], let reference = other?.values[key] else { return nil }
                return value - reference
            })
    }

    /// Returns `better` or `worse` if all seeds agree and the mean difference exceeds the standard deviation.
    static func verdict(_ difference: Sample) -> String {
        guard let mean = difference.mean else { return "not known" }
        let agree = difference.values.allSatisfy { ($0 > 0) == (mean > 0) && $0 != 0 }
        guard agree, abs(mean) > difference.standardDeviation ?? 0 else { return "not decided" }
        return mean > 0 ? "better" : "worse"
    }

    /// The meaning of the verdicts.
    static let verdictNote =
        "Differences are those between runs with the same seed; *better* and *worse* mean that all seeds agree and"
        + " the mean difference exceeds its standard deviation."

    /// Returns percentage points with a sign and the spread.
    static func points(_ sample: Sample, decimals: Int = 2) -> String {
        guard let mean = sample.mean else { return "–" }
        let text = (mean < 0 ? "−" : "+") + Format.fixed(abs(mean), decimals: decimals)
        return sample.standardDeviation.map { "\(text) ± \(Format.fixed($0, decimals: decimals))" } ?? text
    }

    // MARK: Tables

    /// Returns parameters, loss and accuracy of all models of a family.
    func scoreTable(_ family: AltUpFamily, _ results: [UnitResult]) -> MarkdownTable {
        var table = MarkdownTable(
            header: [
                "model", "parameters", "in embedding and output", "held-out loss (\(family.lossTitle))",
                "accuracy (%)", "difference to dense (points)", "compared with dense",
            ], alignments: [.left, .right, .right, .right, .right, .right, .left])
        for contender in contenders where contender.family == family {
            func size(_ key: String) -> String {
                results.sample(contender.name, key).mean.map { Format.count($0) } ?? "–"
            }
            var cells = [
                contender.name, size("parameters"), size("end_parameters"),
                results.sample(contender.name, "loss").text(decimals: 3),
                accuracy(contender, results).text(decimals: 2),
            ]
            if contender.variant != .dense, let dense = dense(of: contender) {
                let gap = difference(contender, dense, "accuracy", results)
                cells += [Self.points(Sample(gap.values.map { 100 * $0 })), Self.verdict(gap)]
            }
            table.append(cells)
        }
        return table
    }

    /// Returns medians of all passes, with their ratio to the dense model of the same size.
    func latencyTable(_ family: AltUpFamily, _ results: [UnitResult]) -> MarkdownTable {
        let passes: [(AltUpLatency.Pass, String)] = [
            (.forward, "forward"), (.training, "forward and backward"), (.step, "generation step"),
        ]
        var table = MarkdownTable(
            header: ["model"] + passes.flatMap { ["\($0.1) (ms)", "relative to dense"] },
            alignments: [.left] + passes.flatMap { _ in [.right, .right] })
        for contender in contenders where contender.family == family {
            let dense = dense(of: contender)
            table.append(
                [contender.name]
                    + passes.flatMap { pass, _ in
                        let own = latency(contender, pass, results)
                        let base = dense.map { latency($0, pass, results) }
                        return [
                            own.median.map { Format.number($0 * 1000, significantDigits: 3) } ?? "–",
                            Self.ratio(own, base).map { Format.fixed($0, decimals: 2) } ?? "–",
                        ]
                    })
        }
        return table
    }

    /// Returns the median of ratios that were measured in the same unit.
    static func ratio(_ own: Sample, _ base: Sample?) -> Double? {
        guard let base, own.count == base.count else { return nil }
        return Sample(zip(own.values, base.values).map { $0 / $1 }).median
    }

    /// Returns a description of the latencies, and a warning if they were disturbed.
    func latencyNotes(_ results: [UnitResult]) -> [ExperimentReport.Section] {
        var texts: [String] = []
        if families.contains(where: { $0 != .t5 }) {
            texts.append(
                "Decoder-only models: a batch of \(plan.decoder.batch) x \(plan.decoder.length) bytes; generation steps"
                    + " of one sequence after \(plan.decoder.length / 2) bytes.")
        }
        if families.contains(.t5), let lengths = try? plan.t5.lengths {
            texts.append(
                "T5: a batch of \(plan.t5.batch) x \(lengths.source) source and \(lengths.target) target tokens; generation"
                    + " steps of one sequence after \(lengths.target / 2) tokens.")
        }
        var sections: [ExperimentReport.Section] = [
            .text(
                "Latency is measured in \(plan.roundCount) rounds of all models in alternating order after each seed, on"
                    + " \(context.machine); figures are medians of the \(context.seeds.count) medians. Training passes do"
                    + " not include the step of the optimizer. \(texts.joined(separator: " "))")
        ]
        let busy = contenders.filter { contender in
            guard let range = latency(contender, .forward, results).range, range.lowerBound > 0 else {
                return false
            }
            return range.upperBound > 1.5 * range.lowerBound
        }
        if !busy.isEmpty {
            sections.append(
                .text(
                    "**Rounds differ** by more than half for \(busy.count) of \(contenders.count) models, so other programs"
                        + " were running: latencies in milliseconds are unreliable, ratios less so, because they compare"
                        + " measurements of the same time."))
        }
        return sections
    }
}
