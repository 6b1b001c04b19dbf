import Foundation
import RetNetPlots
import RetNetReporting

/// The report of the recall recipe.
struct RecallReport {
    let context: ExperimentContext
    let scores: RecallScores

    init(
        context: ExperimentContext, plans: [RecallPlan], contenders: [RecallContender], results: [UnitResult]
    ) {
        self.context = context
        scores = RecallScores(plans: plans, contenders: contenders, results: results)
    }

    func report() -> ExperimentReport {
        var report = ExperimentReport(title: "Recall and state tracking of small models")
        report.add(.text(method))
        for plan in scores.plans {
            report.add(.heading(plan.task.title))
            report.add(.text(description(plan)))
            report.add(.table(table(plan)))
            report.add(.chart(name: plan.name, bars(plan)))
        }
        if let plan = scores.plan("mqar") {
            report.add(.heading("Accuracy and state"))
            report.add(
                .text(
                    "The size of the state confounds every comparison of recall, because the state holds all that a"
                        + " model can recall. The state of attention holds all tokens and grows with the length."
                ))
            report.add(.chart(name: "state", points(plan)))
        }
        report.add(.heading("Claims of the literature"))
        report.add(
            .text(
                "A claim is tested if its task and contenders took part. Grades: *verified*: read in two independent"
                    + " transcriptions or in the text of the paper; *one transcription*: read in one only."))
        report.add(.table(RecallClaim.table(scores)))
        for section in RecallLiterature.sections { report.add(section) }
        return report
    }

    // MARK: Text

    private var method: String {
        let rates =
            scores.plans.contains { $0.triesAllRates }
            ? "Every contender is trained at all learning rates with all seeds; the rate with the best mean on"
                + " validation examples is reported, on separate test examples."
            : "Learning rates come from a calibration and are the same for all contenders; a run that fails at the"
                + " first rate is repeated at the next one if there is one."
        return """
            **Methods.** \(scores.contenders.count) mixers in otherwise equal models (RMS pre-norms, tied output) are \
            trained on tasks whose examples are generated anew at every step, with \(context.seeds.count) seeds each. \
            \(rates) Figures are means ± standard deviations over seeds, on the same examples for all contenders. The \
            size of the state is the number of values that one sequence carries from token to token after an example \
            of the training length.

            **Interpretation.** Either all mixers or none have the short convolution of a task. The token shift of \
            RWKV-4, the shift of H3 and the filters of width 3 of Hyena remain, because they are essential parts of \
            these mixers; they help to read the previous token. Only attention and retention encode positions. Accuracy \
            near a threshold is bimodal over seeds, so a mean can hide that some runs solve a task and others do not: \
            the column *solved* counts runs that reached 99 % on validation examples. Small vocabularies and short \
            examples hide differences that are visible at larger sizes. These results do not rank architectures as \
            language models.
            """
    }

    private func description(_ plan: RecallPlan) -> String {
        "\(Self.sentence(plan.task.summary)) \(Self.sentence(plan.model.summary))"
            + " Training: \(plan.trainingSummary). Scored: \(plan.task.scored); the accuracy of the best guess"
            + " (\(plan.task.chanceMeaning)) is \(Format.percent(plan.task.chance, decimals: 0))."
    }

    private static func sentence(_ text: String) -> String {
        text.prefix(1).uppercased() + text.dropFirst() + "."
    }

    private func table(_ plan: RecallPlan) -> MarkdownTable {
        let evaluations = plan.task.evaluations
        let titles =
            ["contender", "state (numbers)", "parameters"] + evaluations.map { "accuracy, \($0.name)" }
            + ["solved", "steps to 99 %", "learning rate", "seconds per run"]
        var table = MarkdownTable(
            header: titles,
            alignments: [.left] + [ColumnAlignment](repeating: .right, count: titles.count - 1))
        for contender in scores.contenders {
            let results = scores.results(plan, contender)
            guard !results.isEmpty else { continue }
            func sample(_ key: String) -> Sample { scores.sample(plan, contender, key) }
            let steps = sample("steps_to_goal")
            let rates = Set(results.compactMap { $0.values["learning_rate"] }).sorted()
            let diverged = Int((sample("diverged").mean ?? 0) * Double(sample("diverged").count) + 0.5)
            table.append(
                [
                    contender.title, Format.grouped(Int(sample("state_numbers").mean ?? 0)),
                    Format.grouped(Int(sample("parameters").mean ?? 0)),
                ]
                    + evaluations.indices.map {
                        scores.accuracy(plan, contender, evaluation: $0).text(decimals: 3)
                    }
                    + [
                        "\(steps.count) of \(results.count)"
                            + (diverged > 0 ? " (\(diverged) diverged)" : ""),
                        steps.mean.map { "\(Int($0.rounded()))" } ?? "–",
                        rates.map { "\($0)" }.joined(separator: ", "),
                        Format.fixed(sample("run_seconds").mean ?? 0, decimals: 1),
                    ])
        }
        table.append(
            ["*\(plan.task.chanceMeaning)*", "", ""]
                + evaluations.map { _ in Format.fixed(plan.task.chance, decimals: 3) } + ["", "", "", ""])
        return table
    }

    // MARK: Charts

    /// Bars of all contenders with the accuracy of the best guess as a line.
    private func bars(_ plan: RecallPlan) -> BarChart {
        let contenders = scores.contenders.filter { !scores.results(plan, $0).isEmpty }
        let evaluations = plan.task.evaluations
        return BarChart(
            title: "\(plan.task.title): \(plan.task.summary)",
            subtitle: "accuracy at \(plan.task.scored), mean and standard deviation of"
                + " \(context.seeds.count) seeds",
            categories: contenders.map(\.title),
            valueAxis: ChartAxis("accuracy", range: 0...1.08),
            series: evaluations.indices.map { index in
                let samples = contenders.map { scores.accuracy(plan, $0, evaluation: index) }
                return BarChart.Series(
                    name: evaluations[index].name, values: samples.map(\.mean),
                    errors: samples.map(\.standardDeviation))
            },
            referenceLines: [
                LineChart.ReferenceLine(y: plan.task.chance, label: "guess: \(plan.task.chanceMeaning)")
            ],
            showsValues: evaluations.count == 1, legend: .top, size: ChartSize(width: 900, height: 460))
    }

    /// Accuracy by size of the state, with one color per kind of state.
    private func points(_ plan: RecallPlan) -> LineChart {
        let points = scores.contenders.compactMap { contender -> (RecallContender, ChartPoint)? in
            guard let accuracy = scores.accuracy(plan, contender).mean,
                let state = scores.sample(plan, contender, "state_numbers").mean
            else { return nil }
            return (contender, ChartPoint(state, accuracy))
        }
        return LineChart(
            title: "\(plan.task.title): accuracy by size of the state",
            subtitle: "\(plan.task.summary); \(plan.model.summary)",
            xAxis: ChartAxis(
                "numbers in the state of one sequence after \(plan.task.training.lengths.upperBound) tokens",
                scale: .binaryLogarithmic),
            yAxis: ChartAxis("accuracy", range: 0...1.1),
            series: MixerFamily.allCases.compactMap { family in
                let own = points.filter { $0.0.family == family }.map(\.1)
                guard !own.isEmpty else { return nil }
                return LineChart.Series(
                    name: family.rawValue, points: own, showsLine: false, showsMarkers: true)
            },
            referenceLines: [
                LineChart.ReferenceLine(y: plan.task.chance, label: "guess: \(plan.task.chanceMeaning)")
            ],
            annotations: points.map { LineChart.Annotation(at: $0.1, $0.0.title) },
            legend: .top, size: ChartSize(width: 900, height: 520))
    }
}

/// The results of the recall recipe by task and contender.
struct RecallScores {
    let plans: [RecallPlan]
    let contenders: [RecallContender]
    let results: [UnitResult]

    /// Returns the plan of a name; nil if it did not take part.
    func plan(_ name: String) -> RecallPlan? { plans.first { $0.name == name } }

    /// Returns the results of a contender in a task, one per seed.
    ///
    /// If all learning rates were tried, they are those of the rate with the best mean validation accuracy.
    func results(_ plan: RecallPlan, _ contender: RecallContender) -> [UnitResult] {
        let own = results.filter { $0.contender == contender.title && $0.id.hasPrefix(plan.name + "-") }
        guard plan.triesAllRates else { return own }
        let rates = Dictionary(grouping: own) { $0.values["learning_rate"] ?? 0 }
        func validation(_ results: [UnitResult]) -> Double {
            Sample(results.map { $0.values["validation"] ?? 0 }).mean ?? 0
        }
        // The smaller one of two equally good rates, so that the choice is deterministic.
        return rates.sorted { $0.key < $1.key }.map(\.value)
            .reduce([]) { best, next in best.isEmpty || validation(next) > validation(best) ? next : best }
    }

    /// Returns a value for all seeds.
    func sample(_ plan: RecallPlan, _ contender: RecallContender, _ key: String) -> Sample {
        Sample(results(plan, contender).compactMap { $0.values[key] })
    }

    /// Returns the accuracy in an evaluation, by default the first; without values if it was not measured.
    func accuracy(_ plan: RecallPlan, _ contender: RecallContender, evaluation: Int = 0) -> Sample {
        let evaluations = plan.task.evaluations
        guard evaluations.indices.contains(evaluation) else { return Sample([]) }
        return sample(plan, contender, RecallRecipe.Entry.accuracyKey(evaluations[evaluation]))
    }

    /// Returns the accuracy by names, for claims; nil if it was not measured.
    func accuracy(_ task: String, _ contender: String, evaluation: Int = 0) -> Sample? {
        guard let plan = plan(task), let contender = contenders.first(where: { $0.name == contender }) else {
            return nil
        }
        let sample = accuracy(plan, contender, evaluation: evaluation)
        return sample.count > 0 ? sample : nil
    }
}
