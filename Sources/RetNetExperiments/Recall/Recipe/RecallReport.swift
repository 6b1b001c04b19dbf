import Foundation
import RetNetPlots
import RetNetReporting

/// The report of the recall recipe.
struct RecallReport {
    let context: ExperimentContext
    let scores: RecallScores

    init(
        context: ExperimentContext, plans: [TaskPlan], contenders: [RecallContender], results: [UnitResult]
    ) {
        self.context = context
        scores = RecallScores(plans: plans, contenders: contenders, results: results)
    }

    func report() -> ExperimentReport {
        var report = ExperimentReport(title: "Recall and state tracking in small")
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
                    "The state is the confounder of every comparison of recall: what a model remembers must fit"
                        + " into it. Attention keeps everything, so its state grows with the length."))
            report.add(.chart(name: "state", points(plan)))
        }
        report.add(.heading("What the literature says"))
        report.add(
            .text(
                "A claim is tested where its task and contenders took part. Grades: *verified* was read in two"
                    + " independent transcriptions or in the paper's own text, *one transcription* in one only."
            ))
        report.add(.table(RecallClaim.table(scores)))
        for section in RecallLiterature.sections { report.add(section) }
        return report
    }

    // MARK: Text

    private var method: String {
        let rates =
            scores.plans.contains { $0.triesAllRates }
            ? "Every contender is tried at all learning rates with all seeds; the rate with the best mean on"
                + " validation examples is reported on test examples, which are others."
            : "Learning rates come from a calibration and are the same for all; a run that fails at the first is"
                + " tried once more at the next where one is given."
        return """
            **What was done.** \(scores.contenders.count) mixers in otherwise equal models (RMS norms before the \
            parts, tied output) learn tasks whose examples are made up afresh at every step, with \
            \(context.seeds.count) seeds each. \(rates) Figures are means ± standard deviations over seeds on \
            examples that are the same for all. State is what must be carried from token to token for one sequence, \
            in numbers, after an example of the training length.

            **How to read it.** All mixers get the short convolution of a task or none does; only token shift of \
            RWKV-4, H3's shift and Hyena's filters of width 3, which these mixers consist of, remain, and help with \
            looking one token back. Only attention and retention know positions. Accuracy near a threshold is \
            bimodal over seeds, so means hide that some runs solve a task and others do not: the column *solved* \
            counts runs that reached 99 % on validation examples. Small vocabularies and short examples hide \
            differences that larger ones show. None of this ranks architectures as language models.
            """
    }

    private func description(_ plan: TaskPlan) -> String {
        "\(plan.task.summary). \(plan.model.summary.prefix(1).uppercased() + plan.model.summary.dropFirst())."
            + " Training: \(plan.trainingSummary). Scored: \(plan.task.scored); the best guess"
            + " (\(plan.task.chanceMeaning)) is right in \(Format.percent(plan.task.chance, decimals: 0))."
    }

    private func table(_ plan: TaskPlan) -> MarkdownTable {
        let evaluations = plan.task.evaluations
        let titles =
            ["contender", "state (numbers)", "parameters"] + evaluations.map { "accuracy, \($0.name)" }
            + ["solved", "steps to 99 %", "learning rate", "seconds a run"]
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

    /// Bars of all contenders with the guess as a line.
    private func bars(_ plan: TaskPlan) -> BarChart {
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

    /// Accuracy against state, a colour for every kind of memory.
    private func points(_ plan: TaskPlan) -> LineChart {
        let points = scores.contenders.compactMap { contender -> (RecallContender, ChartPoint)? in
            guard let accuracy = scores.accuracy(plan, contender).mean,
                let state = scores.sample(plan, contender, "state_numbers").mean
            else { return nil }
            return (contender, ChartPoint(state, accuracy))
        }
        return LineChart(
            title: "\(plan.task.title): accuracy against the size of the state",
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
