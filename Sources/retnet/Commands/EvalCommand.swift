import ArgumentParser
import Foundation
import RetNetCheckpoints
import RetNetCommandLine
import RetNetEvaluation
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
struct PerplexityCommand: ParsableCommand, ComputingCommand {
    static let configuration = CommandConfiguration(
        commandName: "perplexity",
        abstract: "Measure perplexity and bits per byte of a text at constant memory.",
        discussion: """
            By default the text is read once from start to end with a carried state, so that every token is predicted \
            from all before it. --context N divides it into independent windows of N tokens, as is usual for models \
            with a limited context; this is the default for models whose state grows with the text, with N their \
            training length. The three forms give equal results.
            """)

    @OptionGroup var model: ModelOptions
    @OptionGroup var data: DataOptions
    @OptionGroup var device: DeviceOptions

    @Option(
        parsing: .unconditional, help: "Tokens per independent window (default: none, the state is carried).",
        transform: Arguments.positive)
    var context: Int?

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp(
            "Form of computation: parallel, chunkwise:N or recurrent (default: chunkwise:256)."),
        transform: Arguments.form)
    var form: MixerForm?

    @Option(
        parsing: .unconditional, help: "Tokens per pass with a carried state; bounds the memory.",
        transform: Arguments.positive)
    var window = 2048

    @Option(parsing: .unconditional, help: "Windows per pass with --context.", transform: Arguments.positive)
    var batch: Int?

    @Option(
        parsing: .unconditional,
        help: "Tokens that a window repeats from the previous one as context, with --context.",
        transform: Arguments.nonNegative)
    var overlap = 0

    @Flag(
        name: .customLong("reset-at-documents"),
        help: "Clear the carried state at the beginning of each document.")
    var resetsAtDocuments = false

    @Flag(
        name: .customLong("by-position"),
        help: "Add the loss by the number of tokens before each prediction, in buckets that double.")
    var byPosition = false

    @Flag(help: "Print one JSON object.")
    var json = false

    func validate() throws {
        if let context {
            if overlap >= context { throw ValidationError("--overlap must be smaller than --context") }
            if resetsAtDocuments { throw ValidationError("give --context or --reset-at-documents, not both") }
        } else if batch != nil || overlap > 0 {
            throw ValidationError("--batch and --overlap need --context")
        }
    }

    func run() throws {
        let (device, type) = try device.prepare(.exact)
        let corpus = try data.corpus()
        let loaded = try model.load(on: device, as: type)
        let tokenizer = try loaded.tokenizer
        let stream = try corpus.tokenStream(tokenizer: tokenizer, inMemoryUpTo: 1 << 24)
        let interrupt = InterruptFlag.onSignals()
        let configuration = loaded.model.configuration
        let context = context ?? configuration.evaluationWindowLength
        let options = options(context: context)
        stream.byteCountWarnings.forEach(Console.warn)
        let perplexity = try Perplexity(loaded.model, options: options)
        let bar = ProgressBar(title: "eval", total: stream.tokenCount)
        var isComplete = true
        let result = try perplexity.measure(stream) { sums, fraction in
            bar.update(
                step: Int((fraction * Double(stream.tokenCount)).rounded()),
                metrics: (sums.bitsPerByte.map { [.value("bits/byte", $0)] } ?? [])
                    + [.rate(sums.tokensPerSecond, unit: "tok/s")])
            isComplete = !interrupt.isRaised || fraction >= 1
            return isComplete
        }
        bar.finish()
        if !isComplete { Console.warn("interrupted: the result covers only the first part of the text") }
        try report(
            result, options: options, context: context, device: device, type: type, isComplete: isComplete)
        if !isComplete { throw ExitCodes.interrupted }
    }

    private func options(context: Int?) -> PerplexityOptions {
        var options = context.map { PerplexityOptions.independent(context: $0) } ?? PerplexityOptions()
        if let form { options.form = form }
        options.measuresPositions = byPosition
        if context == nil {
            options.windowLength = window
            options.mode = resetsAtDocuments ? .carriedWithinDocuments : .carried
        } else if let batch {
            options.mode = .independent(rowCount: batch, overlap: overlap)
        } else if case .independent(let rowCount, _) = options.mode {
            options.mode = .independent(rowCount: rowCount, overlap: overlap)
        }
        return options
    }

    private func report(
        _ result: PerplexityResult, options: PerplexityOptions, context: Int?, device: Device,
        type: ElementType, isComplete: Bool
    ) throws {
        guard json else {
            var table = TextTable(header: ["measure", "value"], alignments: [.left, .right])
            table.append([
                "bits per byte", result.bitsPerByte.map { Format.fixed($0, decimals: 4) } ?? "unknown",
            ])
            table.append([
                "perplexity per byte",
                result.bytePerplexity.map { Format.fixed($0, decimals: 4) } ?? "unknown",
            ])
            table.append(["perplexity per token", Format.fixed(result.perplexity, decimals: 4)])
            table.append(["nats per token", Format.fixed(result.natsPerToken, decimals: 6)])
            table.append(["tokens predicted", Format.grouped(result.tokenCount)])
            table.append(["bytes of text", result.byteCount.map { Format.grouped($0) } ?? "unknown"])
            table.append(["form", options.form.description])
            table.append(["context", context.map { "\($0) tokens" } ?? "everything before"])
            table.append(["tokens per second", Format.count(result.tokensPerSecond)])
            Console.result(table.text())
            if let positions = result.byPosition { Console.result("\n" + Self.text(positions)) }
            return
        }
        var tree: SettingsTree = [
            "bits_per_byte": result.bitsPerByte.map { .double($0) } ?? .null,
            "byte_perplexity": result.bytePerplexity.map { .double($0) } ?? .null,
            "perplexity": .double(result.perplexity),
            "nats_per_token": .double(result.natsPerToken), "bits_per_token": .double(result.bitsPerToken),
            "total_nats": .double(result.totalNats), "tokens": .int(result.tokenCount),
            "bytes": result.byteCount.map { .int($0) } ?? .null, "form": .string(options.form.description),
            "context": context.map { .int($0) } ?? .null, "seconds": .double(result.seconds),
            "tokens_per_second": .double(result.tokensPerSecond), "device": .string(device.description),
            "dtype": .string(type.rawValue), "complete": .bool(isComplete),
        ]
        if let positions = result.byPosition {
            tree = tree.merging(["by_position": .array(positions.buckets.map(Self.tree))])
        }
        try Console.json(tree)
    }

    private static func text(_ positions: PositionLosses) -> String {
        var table = TextTable(
            header: ["tokens before", "predictions", "nats per token", "perplexity"],
            alignments: [.left, .right, .right, .right])
        for bucket in positions.buckets {
            let (from, to) = (bucket.contextLengths.lowerBound, bucket.contextLengths.upperBound)
            table.append([
                from == to ? Format.grouped(from) : "\(Format.grouped(from)) to \(Format.grouped(to))",
                Format.grouped(bucket.tokenCount), Format.fixed(bucket.natsPerToken, decimals: 4),
                Format.fixed(bucket.perplexity, decimals: 4),
            ])
        }
        return table.text()
    }

    private static func tree(_ bucket: PositionLosses.Bucket) -> SettingsTree {
        [
            "from": .int(bucket.contextLengths.lowerBound), "to": .int(bucket.contextLengths.upperBound),
            "tokens": .int(bucket.tokenCount), "nats_per_token": .double(bucket.natsPerToken),
            "perplexity": .double(bucket.perplexity),
        ]
    }
}

/// `retnet eval recall`: recall of facts in generated stories.
struct RecallCommand: ParsableCommand, ComputingCommand {
    static let configuration = CommandConfiguration(
        commandName: "recall",
        abstract: "Measure the recall of facts in generated stories.",
        discussion:
            "For models trained on the stories of `retnet demo`; the same generator writes new ones.")

    @OptionGroup var model: ModelOptions
    @OptionGroup var device: DeviceOptions

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
        parsing: .unconditional, help: "Form of computation: parallel, chunkwise:N or recurrent.",
        transform: Arguments.form)
    var form: MixerForm = .chunkwise(256)

    @Flag(help: "Print one JSON object.")
    var json = false

    func run() throws {
        let (device, type) = try device.prepare(.exact)
        let loaded = try model.load(on: device, as: type)
        let interrupt = InterruptFlag.onSignals()
        var generator = StoryGenerator(
            seed: seed, level: level, fillerSentenceCount: filler.map { $0...$0 })
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
