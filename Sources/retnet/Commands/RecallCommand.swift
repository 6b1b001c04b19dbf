import ArgumentParser
import Foundation
import RetNetEvaluation
import RetNetMixers
import RetNetModels
import RetNetReporting
import RetNetSettings
import RetNetStories
import RetNetText
import RetNetTorch
import RetNetTraining

/// `retnet eval recall`: what a model remembers of stories.
struct RecallCommand: ParsableCommand, ComputingCommand {
    static let configuration = CommandConfiguration(
        commandName: "recall",
        abstract: "Count how many things told early in made-up stories a model still knows later.",
        discussion:
            "For models trained on the stories of `retnet demo`, whose generator writes new ones here.")

    @OptionGroup var model: ModelOptions
    @OptionGroup var device: DeviceOptions

    @Option(help: "How many stories to read.", transform: Arguments.positive)
    var stories = 200

    @Option(help: "The seed of the stories.")
    var seed: UInt64 = 1_000_004

    @Option(
        help: "Sentences between what is told and what is asked (default: 2 to 7).",
        transform: Arguments.nonNegative)
    var filler: Int?

    @Option(
        help: "Tokens that may be read before each answer (default: the whole story).",
        transform: Arguments.nonNegative)
    var context: Int?

    @Option(help: "The form to compute in: parallel, chunkwise:N or recurrent.", transform: Arguments.form)
    var form: MixerForm = .chunkwise(256)

    @Flag(help: "Print one JSON object.")
    var json = false

    func run() throws {
        let (device, type) = try device.prepare(.exact)
        let loaded = try model.load(on: device, as: type)
        let interrupt = InterruptFlag.onSignals()
        var generator =
            filler.map { StoryGenerator(seed: seed, fillerSentenceCount: $0...$0) }
            ?? StoryGenerator(seed: seed)
        let texts = (0..<stories).map { _ in generator.story() }
        let bar = ProgressBar(title: "recall", total: stories)
        let result = try RecallAccuracy(
            loaded.model, tokenizer: loaded.tokenizer, form: form, contextTokenCount: context
        )
        .measure(texts) { count in
            bar.update(step: count)
            return !interrupt.isRaised
        }
        bar.finish()
        if json { try Console.json(tree(result)) } else { Console.result(RecallReport.text(result)) }
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

/// Recall as text for people.
enum RecallReport {
    /// The share of right answers, by distance and by kind.
    static func text(_ result: RecallResult) -> String {
        var table = TextTable(header: ["what", "answers", "right"], alignments: [.left, .right, .right])
        for bucket in result.byDistance {
            table.append([
                "told \(bucket.distances.lowerBound) to \(bucket.distances.upperBound - 1) bytes before",
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
