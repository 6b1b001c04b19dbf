import ArgumentParser
import Foundation
import RetNetCommandLine
import RetNetEngines
import RetNetEvaluation
import RetNetInference
import RetNetModels
import RetNetReporting
import RetNetSettings
import RetNetStorage

/// `retnet bench tasks`: what shared contexts save in the scoring of tasks.
struct BenchTasksCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "tasks",
        abstract: "Measure how much faster tasks are scored with contexts that are run once.",
        discussion: """
            Each task is scored in three ways: as `retnet eval tasks` does it; from scratch in batches, where every request \
            runs from its beginning, many in a pass; and from scratch one by one, where every request is a pass of its own. \
            After a warm-up the rounds run in turns forwards and backwards. Times are medians of scoring alone, without reading and encoding. \
            The three must give the same answers to rounding, which is checked. Tokens are those that the model reads. The \
            output layer runs for the scored ones only, in all ways, so that a large vocabulary leaves less to save: the \
            work counts it too.
            """)

    @Option(
        help: ArgumentHelp(
            "Model folder, checkpoint, folder of a run, or OWNER/NAME[@REVISION] on the hub.",
            valueName: "dir"))
    var model: String

    @OptionGroup var tasks: TaskOptions
    @OptionGroup var scoring: ScoringOptions
    @OptionGroup var device: DeviceOptions
    @OptionGroup var engine: EngineOptions

    @Option(parsing: .unconditional, help: "Measurements of each way.", transform: Arguments.positive)
    var rounds = 2

    @Flag(help: "Print one JSON object.")
    var json = false

    func validate() throws {
        if tasks.data.isEmpty { throw ValidationError("give --data with a folder or files of tasks") }
    }

    func run() throws {
        let files = try tasks.files()
        let selected = try tasks.tasks(files)
        for task in selected { try TaskEvaluation.check(task, files: files, shots: tasks.shots) }
        let interrupt = InterruptFlag.onSignals()
        let opened = try engine.select(
            ModelOptions.modelPath(model), device, .exact, onlyLibTorch: [(scoring.form != nil, "--form")]
        ).load()
        let (engine, tokenizer) = (opened.engine, try opened.engine.tokenizer)
        let evaluations = try TaskComparison.ways.map { way in
            let options = scoring.options(tasks, engine.configuration, tokenizer, sharing: way.sharing)
            return try TaskEvaluation(
                engine.scorer(options.scoring), vocabularySize: engine.configuration.vocabularySize,
                tokenizer: tokenizer, options: options)
        }
        let work = try ScoringWork(engine.configuration)
        // The first pass reads the weights from the files.
        for task in selected.prefix(1) {
            _ = try evaluations[0].evaluate(task, files: files) { _, _ in !interrupt.isRaised }
            guard !interrupt.isRaised else { throw ExitCodes.interrupted }
        }
        var comparisons: [TaskComparison] = []
        for task in selected {
            var comparison = TaskComparison(work: work)
            for round in 0..<rounds {
                let order = TaskComparison.ways.indices.map { $0 }
                for way in round % 2 == 0 ? order : order.reversed() {
                    let bar = ProgressBar(
                        title: "\(task.name), \(TaskComparison.ways[way].name), \(round + 1) of \(rounds)",
                        total: 1)
                    let result = try evaluations[way].evaluate(task, files: files) { count, total in
                        bar.update(step: count == total ? 1 : 0)
                        return !interrupt.isRaised
                    }
                    bar.finish()
                    guard !interrupt.isRaised else { throw ExitCodes.interrupted }
                    comparison.add(result, way: way)
                }
            }
            comparisons.append(comparison)
        }
        guard json else {
            let title =
                "tasks of \(model) (\(Format.count(Double(engine.parameterCount))) parameters), \(tasks.shots) shots"
            return Console.result(
                "\(title)\n\n\(TaskComparison.text(comparisons))\nEngine: \(engine.summary(reason: opened.reason))."
            )
        }
        try Console.json(
            .ordered(
                [
                    ("benchmark", .string("tasks")), ("model", .string(model)),
                    ("parameters", .int(engine.parameterCount)), ("device", .string(engine.deviceName)),
                    ("dtype", .string(engine.elementTypeName)), ("threads", .int(engine.threadCount)),
                ] + opened.entries + [
                    ("shots", .int(tasks.shots)), ("rounds", .int(rounds)),
                    ("tasks", .array(comparisons.map(\.tree))),
                ]))
    }
}

/// The operations of a model for tokens that it reads and for places that are scored.
private struct ScoringWork {
    private let perToken: Double
    private let perPlace: Double

    init(_ configuration: LanguageModelConfiguration) throws {
        perPlace = 2 * Double(configuration.vocabularySize) * Double(configuration.outputWidth)
        perToken = Double(try ModelAccounting(configuration).forwardFLOPsPerToken) - perPlace
    }

    func callAsFunction(_ cost: ScoringCost) -> Double {
        perToken * Double(cost.tokenCount) + perPlace * Double(cost.scoredCount)
    }
}

/// A task scored in all ways, several times each.
private struct TaskComparison {
    /// The ways, that of `retnet eval tasks` first.
    static let ways: [(name: String, key: String, sharing: LogLikelihoodScorer.Options.Sharing)] = [
        ("shared contexts", "", .beginnings), ("in batches", "in_batches", .passes),
        ("one by one", "one_by_one", .nothing),
    ]

    private let work: ScoringWork
    private var results: [[TaskResult]] = ways.map { _ in [] }

    init(work: ScoringWork) { self.work = work }

    mutating func add(_ result: TaskResult, way: Int) { results[way].append(result) }

    /// The median of a measure in each way.
    private func medians(_ measure: (ScoringCost) -> Double) -> [Double] {
        results.map { results in
            let values = results.map { measure($0.cost) }.sorted()
            guard !values.isEmpty else { return .nan }
            return (values[(values.count - 1) / 2] + values[values.count / 2]) / 2
        }
    }

    private var first: TaskResult? { results[0].first }

    /// The sums of a row of the table.
    private struct Sums {
        var tokens = 0
        var separateTokens = 0
        var work = 0.0
        var separateWork = 0.0
        var seconds = ways.map { _ in 0.0 }

        static func += (left: inout Sums, right: Sums) {
            left.tokens += right.tokens
            left.separateTokens += right.separateTokens
            left.work += right.work
            left.separateWork += right.separateWork
            left.seconds = zip(left.seconds, right.seconds).map(+)
        }

        var fewerTokens: Double { Double(separateTokens) / Double(max(1, tokens)) }
        var lessWork: Double { separateWork / work }
        var faster: [Double] { seconds.dropFirst().map { $0 / seconds[0] } }
    }

    private var sums: Sums {
        let costs = results.map { $0.first?.cost ?? ScoringCost() }
        return Sums(
            tokens: costs[0].tokenCount, separateTokens: costs[0].separateTokenCount, work: work(costs[0]),
            separateWork: work(costs[1]), seconds: medians(\.seconds))
    }

    /// The largest difference of the log-likelihoods of a request, in relation to its size or 1.
    private var difference: Double {
        var largest = 0.0
        for other in results.dropFirst().compactMap(\.first) {
            for (a, b) in zip(first?.samples ?? [], other.samples) {
                for (x, y) in zip(a.answers, b.answers) {
                    let gap = abs(x.logLikelihood - y.logLikelihood) / max(1, abs(y.logLikelihood))
                    // Not `max`, which would drop NaN.
                    if !(gap <= largest) { largest = gap }
                }
            }
        }
        return largest
    }

    static func text(_ comparisons: [TaskComparison]) -> String {
        var table = TextTable(
            header: [
                "task", "documents", "tokens", "from scratch", "fewer", "less work", "seconds", "in batches",
                "faster", "one by one", "faster", "answers differ by",
            ],
            alignments: [.left] + [ColumnAlignment](repeating: .right, count: 11))
        func times(_ value: Double) -> String { Format.fixed(value, decimals: 2) + "x" }
        func row(_ name: String, _ count: String, _ sums: Sums, _ difference: String) {
            var cells = [
                name, count, Format.grouped(sums.tokens), Format.grouped(sums.separateTokens),
                times(sums.fewerTokens), times(sums.lessWork), Format.fixed(sums.seconds[0], decimals: 2),
            ]
            for (seconds, faster) in zip(sums.seconds.dropFirst(), sums.faster) {
                cells += [Format.fixed(seconds, decimals: 2), times(faster)]
            }
            table.append(cells + [difference])
        }
        var total = Sums()
        for comparison in comparisons {
            guard let result = comparison.first else { continue }
            let sums = comparison.sums
            row(
                result.task.name, Format.grouped(result.samples.count), sums,
                String(format: "%.1e", comparison.difference))
            total += sums
        }
        if comparisons.count > 1 { row("all", "", total, "") }
        return table.text() + """

            tokens: those read with shared contexts; less work: how many times fewer operations, those of the output layer
            included; seconds: scoring by the clock with shared contexts, and from scratch in batches and one by one

            """
    }

    var tree: SettingsTree {
        let sums = sums
        let scored = results.map { $0.first?.cost.scoredCount ?? 0 }
        var members: [(String, SettingsTree)] = [
            ("task", .string(first?.task.name ?? "")), ("documents", .int(first?.samples.count ?? 0)),
            ("tokens", .int(sums.tokens)), ("tokens_from_scratch", .int(sums.separateTokens)),
            ("scored_places", .int(scored[0])), ("scored_places_from_scratch", .int(scored[1])),
            ("token_ratio", .double(sums.fewerTokens)), ("work_ratio", .double(sums.lessWork)),
        ]
        let processor = medians(\.processorSeconds)
        for (index, way) in Self.ways.enumerated() {
            let suffix = way.key.isEmpty ? "" : "_" + way.key
            members.append(("seconds" + suffix, .double(sums.seconds[index])))
            members.append(("processor_seconds" + suffix, .double(processor[index])))
            if index > 0 { members.append(("speedup" + suffix, .double(sums.faster[index - 1]))) }
        }
        members.append(("largest_relative_difference", .double(difference)))
        return .ordered(members)
    }
}
