import RetNetPlots
import RetNetReporting

extension AltUpComparison {
    /// A group of tasks: the key of its mean, its title, and what always the commonest answer scores.
    private typealias TaskGroup = (key: String, title: String, floor: Double?)

    /// The mean over tasks of what always the commonest answer scores.
    private func constantScore(_ tasks: [TuningTask]) -> Double? {
        Sample(
            tasks.map { task in
                let scores = task.constantScores.map(\.value)
                return scores.reduce(0, +) / Double(max(1, scores.count))
            }
        ).mean
    }

    /// What fine-tuning of T5 gave; nothing where no T5 takes part.
    func addTasks(to report: inout ExperimentReport, _ results: [UnitResult], chart: String) {
        guard let t5Run, let tuning = t5Run.settings.tuning, !t5Run.tasks.isEmpty else { return }
        let groups: [TaskGroup] = t5Run.groups.compactMap { tasks in
            tasks.first.map { ("group \($0.group)", $0.group, constantScore(tasks)) }
        }
        report.add(.heading("Fine-tuning"))
        let sizes = t5Run.tasks.map { task in
            "\(task.title) \(Format.grouped(task.size)) to learn from,"
                + " \(Format.grouped(task.test.count)) to answer"
        }
        let leftOut = t5Run.tasks.reduce(0) { $0 + $1.leftOut }
        var text =
            "Every pretrained T5 is fine-tuned with \(tuning.text), once for each of"
            + " \(groups.map(\.title).joined(separator: ", ")) on a mixture of its tasks by size, and answers"
            + " greedily: \(sizes.joined(separator: "; "))."
        if leftOut > 0 {
            text += " \(Format.grouped(leftOut)) examples are longer than that and left out."
        }
        if context.texts.taskFolder == nil {
            text +=
                " No folder of data sets was given, so the task is made up: what a generated story told before."
        } else if !t5Run.missing.isEmpty {
            text += " There are no files of \(t5Run.missing.joined(separator: ", "))."
        }
        report.add(.text(text))
        report.add(.chart(name: chart, taskChart(groups, results)))
        report.add(.table(taskTable(groups, results)))
        let unskilled = groups.filter { group in !rows.contains { isSkilled($0, group, results) } }
        if !unskilled.isEmpty {
            report.add(
                .text(
                    "**No model answers \(unskilled.map(\.title).joined(separator: " or ")) better than always the"
                        + " commonest answer** by more than its standard deviation: these scores say nothing about the"
                        + " variants."))
        }
        if rows.filter({ $0.family == .t5 && $0.variant == .dense }).count > 1 {
            report.add(
                .text(
                    "Speed-up at the same score, refused where larger dense models do not score higher, or no better than always"
                        + " the commonest answer:"))
            report.add(.table(speedUpTable(.t5, keys: groups, results)))
        }
    }

    /// Whether a model's mean is above what takes no skill by more than the standard deviation of its seeds.
    private func isSkilled(
        _ row: AltUpRow, _ group: TaskGroup, _ results: [UnitResult]
    ) -> Bool {
        let sample = results.sample(row.name, group.key)
        guard let mean = sample.mean, let floor = group.floor else { return false }
        return mean - floor > (sample.standardDeviation ?? 0)
    }

    private func taskTable(_ all: [TaskGroup], _ results: [UnitResult]) -> MarkdownTable {
        let tasks = t5Run?.tasks ?? []
        let columns = tasks.flatMap { task in
            task.constantScores.map { (task.key($0.name), task.columnTitle($0.name), $0.value) }
        }
        // A group of one task with one figure has no mean of its own.
        let groups = all.filter { group in
            let own = tasks.filter { $0.group == group.title }
            return own.count > 1 || (own.first?.constantScores.count ?? 0) > 1
        }
        var table = MarkdownTable(
            header: ["model"] + columns.map(\.1) + groups.map { "\($0.title), mean" },
            alignments: [.left] + (columns.map(\.1) + groups.map(\.title)).map { _ in .right })
        table.append(
            ["always the commonest answer"] + columns.map { Format.fixed($0.2, decimals: 1) }
                + groups.map { $0.floor.map { Format.fixed($0, decimals: 1) } ?? "–" })
        for row in rows where row.family == .t5 {
            table.append(
                [row.name] + columns.map { results.sample(row.name, $0.0).text(decimals: 1) }
                    + groups.map { results.sample(row.name, $0.key).text(decimals: 1) })
        }
        return table
    }

    private func taskChart(_ groups: [TaskGroup], _ results: [UnitResult]) -> BarChart {
        let own = rows.filter { $0.family == .t5 }
        let names = own.map { row in
            row.group == row.family.title ? row.variant.title : "\(row.size) \(row.variant.title)"
        }
        return BarChart(
            title: "T5 after fine-tuning", subtitle: "mean and standard deviation of seeds",
            categories: names, valueAxis: ChartAxis("score from 0 to 100"),
            series: groups.map { group in
                let samples = own.map { results.sample($0.name, group.key) }
                return BarChart.Series(
                    name: group.title, values: samples.map(\.mean),
                    errors: samples.map(\.standardDeviation))
            }, showsValues: false)
    }
}
