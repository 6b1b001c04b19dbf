import Foundation
import RetNetEvaluation
import RetNetText

/// A task that a pretrained T5 is fine-tuned on and scored with.
struct TuningTask {
    /// The name in values.
    let name: String
    /// The name in tables.
    let title: String
    /// The benchmark that it belongs to.
    let group: String
    /// Examples to learn from, in a random order; four times as many as are drawn at most.
    let training: [TextToTextExample]
    /// How many there are in all.
    let size: Int
    let test: [TextToTextExample]
    /// Examples of both parts that were too long.
    let leftOut: Int
    /// What the answers are measured as.
    let task: TextToTextTask

    /// The tasks of one fine-tuning each: the mixtures of GLUE and SuperGLUE, SQuAD, TriviaQA.
    static let groups: [[TextToTextTask]] = [
        [.cola, .sst2, .mrpc, .stsb, .rte], [.boolq, .cb, .copa], [.squad], [.triviaQA],
    ]

    /// Reads a task from a folder of data sets; nil where its files are not there.
    ///
    /// Examples that do not fit into the lengths are left out, and of the test set so many are taken at most.
    init?(_ task: TextToTextTask, folder: String, tuning: T5Run.Settings.Tuning) throws {
        guard let files = Self.files[task] else { return nil }
        let paths = [files.training, files.test].map { "\(folder)/\($0)" }
        guard paths.allSatisfy({ FileManager.default.fileExists(atPath: $0) }) else { return nil }
        var training = try TextToTextFile.examples(task, path: paths[0])
        var test = paths[0] == paths[1] ? [] : try TextToTextFile.examples(task, path: paths[1])
        if paths[0] == paths[1] {
            // One file for both: the last sixth is for testing.
            let count = training.count / 6
            test = Array(training.suffix(count))
            training.removeLast(count)
        }
        let seen = Set(training.map(\.input))
        test.removeAll { seen.contains($0.input) }
        self.init(
            name: task.rawValue, title: files.title, group: files.group, training: training, test: test,
            task: task, tuning: tuning)
    }

    /// Questions about generated stories, for runs without data sets.
    init(generatedFor tuning: T5Run.Settings.Tuning) {
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
        test: [TextToTextExample], task: TextToTextTask, tuning: T5Run.Settings.Tuning
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

    /// What the commonest target of the training set scores for every question.
    var constantScores: [(name: String, value: Double)] {
        let counts = training.reduce(into: [String: Int]()) { $0[$1.target, default: 0] += 1 }
        let best = counts.max { ($0.value, $1.key) < ($1.value, $0.key) }?.key ?? ""
        return task.score(test.map { _ in best }, test)
    }

    /// The name of a score among values.
    func key(_ metric: String) -> String { "task \(name) \(metric)" }

    /// The same among column titles.
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
