import ArgumentParser
import Foundation
import RetNetCheckpoints
import RetNetCommandLine
import RetNetEngines
import RetNetEvaluation
import RetNetInference
import RetNetMixers
import RetNetModels
import RetNetReporting
import RetNetSettings
import RetNetStorage
import RetNetStories
import RetNetText
import RetNetTorch

/// `retnet eval`: measurements of trained models.
struct EvalCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "eval", abstract: "Measure a trained model.",
        subcommands: [PerplexityCommand.self, RecallCommand.self, TasksCommand.self])
}

/// `retnet eval perplexity`: perplexity and bits per byte of a text.
struct PerplexityCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "perplexity",
        abstract: "Measure perplexity and bits per byte of a text at constant memory.",
        discussion: PerplexityMeasurement.discussion + " The three forms give equal results. Ranks started by"
            + " `retnet launch`, torchrun, mpirun or srun divide the text by its documents or windows.")

    @OptionGroup var model: ModelOptions
    @OptionGroup var data: DataOptions
    @OptionGroup var device: DeviceOptions
    @OptionGroup var engine: EngineOptions
    @OptionGroup var measurement: PerplexityMeasurement

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp(
            "Form of computation with LibTorch: parallel, chunkwise:N or recurrent (default: chunkwise:256)."),
        transform: Arguments.form)
    var form: MixerForm?

    func run() throws {
        let assignment = try SharedWork.assignment()
        let selection = try engine.select(
            model.modelPath(), device.shared(by: assignment), .exact, onlyLibTorch: [(form != nil, "--form")])
        try SharedWork.run(assignment) { group in
            let corpus = try data.corpus()
            let opened = try selection.load()
            try measurement.run(
                opened.engine, reason: opened.reason, on: corpus, form: form ?? .chunkwise(256), ranks: group)
        }
    }
}

/// `retnet eval recall`: recall of facts in generated stories.
struct RecallCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "recall",
        abstract: "Measure the recall of facts in generated stories.",
        discussion:
            "For models trained on the stories of `retnet demo`; the same generator writes new ones.")

    @OptionGroup var model: ModelOptions
    @OptionGroup var device: DeviceOptions
    @OptionGroup var engine: EngineOptions

    @Option(parsing: .unconditional, help: "Number of stories.", transform: Arguments.positive)
    var stories = 200

    @Option(parsing: .unconditional, help: "Seed for the stories.")
    var seed: UInt64 = 1_000_004

    @Option(parsing: .unconditional, help: "Variety of the stories: basic, simple, mixed or standard.")
    var level: StoryLevel = .standard

    @Option(
        parsing: .unconditional,
        help:
            "Sentences between a fact and its recall (default: 2 to 7; 0 to 16 in basic, simple and mixed stories).",
        transform: Arguments.nonNegative)
    var filler: Int?

    @Option(
        parsing: .unconditional, help: "Tokens of context before each answer (default: the whole story).",
        transform: Arguments.nonNegative)
    var context: Int?

    @Option(
        parsing: .unconditional,
        help:
            "Form of computation with LibTorch: parallel, chunkwise:N or recurrent (default: chunkwise:256).",
        transform: Arguments.form)
    var form: MixerForm?

    @Flag(help: "Print one JSON object.")
    var json = false

    func run() throws {
        let opened = try engine.select(
            model.modelPath(), device, .exact, onlyLibTorch: [(form != nil, "--form")]
        ).load()
        let loaded = opened.engine
        let interrupt = InterruptFlag.onSignals()
        var generator = StoryGenerator(
            seed: seed, level: level, fillerSentenceCount: filler.map { $0...$0 })
        let texts = (0..<stories).map { _ in generator.story() }
        let bar = ProgressBar(title: "recall", total: stories)
        let result = try RecallAccuracy(
            loaded.predictor(form: form), tokenizer: loaded.tokenizer, contextTokenCount: context
        )
        .measure(texts) { count in
            bar.update(step: count)
            return !interrupt.isRaised
        }
        bar.finish()
        if json {
            try Console.json(tree(result).merging(loaded.tree(reason: opened.reason)))
        } else {
            Console.result(
                RecallReport.text(result) + "\nEngine: \(loaded.summary(reason: opened.reason)).\n")
        }
        if interrupt.isRaised { throw ExitCodes.interrupted }
    }

    private func tree(_ result: RecallResult) -> SettingsTree {
        func count(_ count: RecallResult.Count) -> [(String, SettingsTree)] {
            [
                ("total", .int(count.total)), ("correct", .int(count.correct)),
                ("accuracy", .double(count.accuracy)),
            ]
        }
        let kinds = result.byKind.sorted { $0.key.rawValue < $1.key.rawValue }
        return .ordered(
            count(result.overall) + [
                ("by_kind", .ordered(kinds.map { ($0.key.rawValue, .ordered(count($0.value))) })),
                (
                    "by_distance",
                    .array(
                        result.byDistance.map {
                            .ordered(
                                [
                                    ("from", .int($0.distances.lowerBound)),
                                    ("to", .int($0.distances.upperBound - 1)),
                                ] + count($0.count))
                        })
                ),
            ])
    }
}

/// The result of recall as text.
enum RecallReport {
    /// Returns the share of right answers, by distance and by kind.
    static func text(_ result: RecallResult) -> String {
        var table = TextTable(header: ["fact", "answers", "right"], alignments: [.left, .right, .right])
        for bucket in result.byDistance {
            table.append([
                "stated \(bucket.distances.lowerBound) to \(bucket.distances.upperBound - 1) bytes before",
                Format.grouped(bucket.count.total), Format.percent(bucket.count.accuracy),
            ])
        }
        for (kind, count) in result.byKind.sorted(by: { $0.key.rawValue < $1.key.rawValue }) {
            table.append([name(kind), Format.grouped(count.total), Format.percent(count.accuracy)])
        }
        let overall = result.overall
        return
            "\(Format.percent(overall.accuracy)) of \(Format.grouped(overall.total)) answers are right\n\n\(table.text())"
    }

    private static func name(_ kind: Recall.Kind) -> String {
        kind == .petName ? "name of an animal" : kind.rawValue
    }
}

extension StoryLevel: ExpressibleByArgument {}
