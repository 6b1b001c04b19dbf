import Foundation
import RetNetEvaluation
import RetNetPlots
import RetNetReporting
import RetNetStorage
import RetNetStories
import RetNetText

/// A task for fine-tuning and scoring a pretrained T5.
struct TuningTask {
    /// The name in values.
    let name: String
    /// The name in tables.
    let title: String
    /// The benchmark that it belongs to.
    let group: String
    /// Training examples in random order, at most four times the number that is drawn.
    let training: [TextToTextExample]
    /// The number of all training examples.
    let size: Int
    let test: [TextToTextExample]
    /// The number of excluded examples, which were too long.
    let leftOut: Int
    /// The kind of the task, which defines its metrics.
    let task: TextToTextTask

    /// The tasks of each fine-tuning: mixtures of GLUE and SuperGLUE, SQuAD, TriviaQA.
    static let groups: [[TextToTextTask]] = [
        [.cola, .sst2, .mrpc, .stsb, .rte], [.boolq, .cb, .copa], [.squad], [.triviaQA],
    ]

    /// Reads a task from a folder of data sets; nil if its files do not exist.
    ///
    /// Examples that exceed the lengths are excluded, and the number of test examples is limited.
    init?(_ task: TextToTextTask, folder: String, tuning: T5Training.Settings.Tuning) throws {
        guard let files = Self.files[task] else { return nil }
        let paths = [files.training, files.test].map { "\(folder)/\($0)" }
        guard paths.allSatisfy({ FileManager.default.fileExists(atPath: $0) }) else { return nil }
        var training = try TextToTextFile.examples(task, path: paths[0])
        var test = paths[0] == paths[1] ? [] : try TextToTextFile.examples(task, path: paths[1])
        if paths[0] == paths[1] {
            // One file for both: the last sixth is the test set.
            let count = training.count / 6
            test = Array(training.suffix(count))
            training.removeLast(count)
        }
        let seen = Set(training.map { ExactString($0.input) })
        test.removeAll { seen.contains(ExactString($0.input)) }
        self.init(
            name: task.rawValue, title: files.title, group: files.group, training: training, test: test,
            task: task, tuning: tuning)
    }

    /// Creates questions on generated stories, for experiments without data sets.
    init(generatedFor tuning: T5Training.Settings.Tuning) {
        func examples(seed: UInt64, count: Int) -> [TextToTextExample] {
            var stories = StoryGenerator(seed: seed, fillerSentenceCount: 0...0)
            return (0..<count).compactMap { _ in
                let story = stories.story()
                guard let recall = story.recalls.first else { return nil }
                let bytes = Array(story.text.utf8)
                return TextToTextExample(
                    input: "recall: " + String(decoding: bytes[..<recall.range.lowerBound], as: UTF8.self),
                    target: String(decoding: bytes[recall.range], as: UTF8.self))
            }
        }
        self.init(
            name: "recall", title: "recall", group: "stories", training: examples(seed: 11, count: 4000),
            test: examples(seed: 4_000_037, count: 800), task: .triviaQA, tuning: tuning)
    }

    private init(
        name: String, title: String, group: String, training: [TextToTextExample],
        test: [TextToTextExample], task: TextToTextTask, tuning: T5Training.Settings.Tuning
    ) {
        self.name = name
        self.title = title
        self.group = group
        self.task = task
        func fits(_ example: TextToTextExample) -> Bool {
            example.input.utf8.count < tuning.sourceLength && example.target.utf8.count < tuning.targetLength
        }
        var generator = SeededGenerator(seed: 5)
        func shuffled(_ examples: [TextToTextExample]) -> [TextToTextExample] {
            var examples = examples.filter(fits)
            generator.shuffle(&examples)
            return examples
        }
        let (fitting, asked) = (shuffled(training), shuffled(test))
        leftOut = training.count - fitting.count + test.count - asked.count
        size = fitting.count
        self.training = Array(fitting.prefix(4 * tuning.exampleCount))
        self.test = Array(asked.prefix(tuning.exampleLimit))
    }

    /// Scores of the most frequent target of the training set as the answer to every question.
    var constantScores: [(name: String, value: Double)] {
        let counts = training.reduce(into: [ExactString: Int]()) {
            $0[ExactString($1.target), default: 0] += 1
        }
        let best = counts.max { ($0.value, $1.key) < ($1.value, $0.key) }?.key.text ?? ""
        return task.score(test.map { _ in best }, test)
    }

    /// Returns the name of a score among the values.
    func key(_ metric: String) -> String { "task \(name) \(metric)" }

    /// Returns the column title of a score.
    func columnTitle(_ metric: String) -> String {
        "\(title) (\(metric.split(separator: "_").joined(separator: " ")))"
    }

    // MARK: Files

    private struct Files {
        let title: String
        let group: String
        let training: String
        let test: String
    }

    private static let files: [TextToTextTask: Files] = [
        .cola: glue("CoLA", "cola"), .mrpc: glue("MRPC", "mrpc"), .stsb: glue("STS-B", "stsb"),
        .rte: glue("RTE", "rte"), .sst2: glue("SST-2", "sst2", training: "sst2_train.jsonl.gz"),
        .boolq: Files(
            title: "BoolQ", group: "SuperGLUE", training: "superglue/boolq_train.jsonl.gz",
            test: "eval/boolq_val.jsonl"),
        .cb: Files(
            title: "CB", group: "SuperGLUE", training: "superglue/cb_train.jsonl",
            test: "superglue/cb_val.jsonl"),
        .copa: Files(
            title: "COPA", group: "SuperGLUE", training: "superglue/copa_train.jsonl",
            test: "superglue/copa_val.jsonl"),
        .squad: Files(
            title: "SQuAD", group: "SQuAD", training: "qa/squad_v1.1_dev_sample1000.jsonl",
            test: "qa/squad_v1.1_dev_xquad_en.jsonl"),
        .triviaQA: Files(
            title: "TriviaQA", group: "TriviaQA", training: "qa/triviaqa_3000.jsonl",
            test: "qa/triviaqa_3000.jsonl"),
    ]

    private static func glue(_ title: String, _ name: String, training: String? = nil) -> Files {
        Files(
            title: title, group: "GLUE", training: "glue/" + (training ?? "\(name)_train.jsonl"),
            test: "glue/\(name)_dev.jsonl")
    }
}

extension AltUpComparison {
    /// A group of tasks: the key of its mean, its title, and the score of the most frequent answer.
    private typealias TaskGroup = (key: String, title: String, floor: Double?)

    /// Returns the mean over tasks of the score of the most frequent answer.
    private func constantScore(_ tasks: [TuningTask]) -> Double? {
        Sample(
            tasks.map { task in
                let scores = task.constantScores.map(\.value)
                return scores.reduce(0, +) / Double(max(1, scores.count))
            }
        ).mean
    }

    /// Adds the results of fine-tuning; nothing if no T5 takes part.
    func addTasks(to report: inout ExperimentReport, _ results: [UnitResult], chart: String) {
        guard let t5Training, let tuning = t5Training.settings.tuning, !t5Training.tasks.isEmpty else {
            return
        }
        let groups: [TaskGroup] = t5Training.groups.compactMap { tasks in
            tasks.first.map { ("group \($0.group)", $0.group, constantScore(tasks)) }
        }
        report.add(.heading("Fine-tuning"))
        let sizes = t5Training.tasks.map { task in
            "\(task.title) \(Format.grouped(task.size)) for training,"
                + " \(Format.grouped(task.test.count)) for testing"
        }
        let leftOut = t5Training.tasks.reduce(0) { $0 + $1.leftOut }
        var text =
            "Every pretrained T5 is fine-tuned with \(tuning.text), once for each of"
            + " \(groups.map(\.title).joined(separator: ", ")) on a mixture of its tasks in proportion to their size, with"
            + " greedy decoding. Examples: \(sizes.joined(separator: "; "))."
        if leftOut > 0 { text += " \(Format.grouped(leftOut)) longer examples are excluded." }
        if context.texts.taskFolder == nil {
            text +=
                " No folder of data sets was given, so the task is generated: a question on a fact of a story."
        } else if !t5Training.missing.isEmpty {
            text += " Files are missing for \(t5Training.missing.joined(separator: ", "))."
        }
        report.add(.text(text))
        report.add(.chart(name: chart, taskChart(groups, results)))
        report.add(.table(taskTable(groups, results)))
        let unskilled = groups.filter { group in !contenders.contains { isSkilled($0, group, results) } }
        if !unskilled.isEmpty {
            report.add(
                .text(
                    "**No model is better than the most frequent answer in"
                        + " \(unskilled.map(\.title).joined(separator: " or "))** by more than its standard deviation:"
                        + " these scores say nothing about the variants."))
        }
        if contenders.filter({ $0.family == .t5 && $0.variant == .dense }).count > 1 {
            report.add(
                .text(
                    "Speed-up at the same score; not defined if larger dense models do not score higher, or no better"
                        + " than the most frequent answer:"))
            report.add(.table(speedUpTable(.t5, keys: groups, results)))
        }
    }

    /// Returns true if a model's mean exceeds the score of a constant answer by more than its standard deviation.
    private func isSkilled(_ contender: AltUpContender, _ group: TaskGroup, _ results: [UnitResult]) -> Bool {
        let sample = results.sample(contender.name, group.key)
        guard let mean = sample.mean, let floor = group.floor else { return false }
        return mean - floor > (sample.standardDeviation ?? 0)
    }

    private func taskTable(_ all: [TaskGroup], _ results: [UnitResult]) -> MarkdownTable {
        let tasks = t5Training?.tasks ?? []
        let columns = tasks.flatMap { task in
            task.constantScores.map { (task.key($0.name), task.columnTitle($0.name), $0.value) }
        }
        // A group of one task with one figure has no separate mean.
        let groups = all.filter { group in
            let own = tasks.filter { $0.group == group.title }
            return own.count > 1 || (own.first?.constantScores.count ?? 0) > 1
        }
        var table = MarkdownTable(
            header: ["model"] + columns.map(\.1) + groups.map { "\($0.title), mean" },
            alignments: [.left] + (columns.map(\.1) + groups.map(\.title)).map { _ in .right })
        table.append(
            ["most frequent answer"] + columns.map { Format.fixed($0.2, decimals: 1) }
                + groups.map { $0.floor.map { Format.fixed($0, decimals: 1) } ?? "–" })
        for contender in contenders where contender.family == .t5 {
            table.append(
                [contender.name] + columns.map { results.sample(contender.name, $0.0).text(decimals: 1) }
                    + groups.map { results.sample(contender.name, $0.key).text(decimals: 1) })
        }
        return table
    }

    private func taskChart(_ groups: [TaskGroup], _ results: [UnitResult]) -> BarChart {
        let own = contenders.filter { $0.family == .t5 }
        let names = own.map { contender in
            contender.group == contender.family.title
                ? contender.variant.title : "\(contender.size) \(contender.variant.title)"
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
