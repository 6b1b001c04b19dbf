import ArgumentParser
import Foundation
import RetNetCheckpoints
import RetNetCommandLine
import RetNetEvaluation
import RetNetReporting
import RetNetSettings
import RetNetStorage
import RetNetText
import RetNetTorch

/// `retnet bench tasks`: what shared contexts save in the scoring of tasks.
struct BenchTasksCommand: ParsableCommand, ComputingCommand {
    static let configuration = CommandConfiguration(
        commandName: "tasks",
        abstract: "Measure how much faster tasks are scored with contexts that are run once.",
        discussion: """
            Each task is scored in three ways: as `retnet eval tasks` does it; from scratch in batches, where every request \
            runs from its beginning, many in a pass; and from scratch one by one, where every request is a pass of its own. \
            The rounds run in turns forwards and backwards. Times are medians of scoring alone, without reading and encoding. \
            The three must give the same answers to rounding, which is checked. Tokens are those that the model reads; the \
            output layer runs for the scored ones only, in all ways.
            """)

    @Option(
        help: ArgumentHelp(
            "Model folder, checkpoint, folder of a run, or OWNER/NAME[@REVISION] on the hub.",
            valueName: "dir"))
    var model: String

    @OptionGroup var tasks: TaskOptions
    @OptionGroup var scoring: ScoringOptions
    @OptionGroup var device: DeviceOptions

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
        let (device, type) = try device.prepare(.exact)
        let loaded = try ModelFolder.load(
            ModelOptions.modelPath(model), elementType: type, device: device, computeType: type)
        let tokenizer = try loaded.tokenizer
        let evaluations = try TaskComparison.ways.map { way in
            var options = scoring.options(tasks, loaded.configuration, tokenizer, sharing: way.sharing)
            options.bootstrapIterations = 0
            return try TaskEvaluation(loaded.model, tokenizer: tokenizer, options: options)
        }
        var comparisons: [TaskComparison] = []
        for task in selected {
            var comparison = TaskComparison()
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
        let title =
            "\(Format.count(Double(loaded.model.parameters.parameterCount))) parameters, \(tasks.shots) shots, "
            + "\(type.rawValue) on \(device)"
        guard json else { return Console.result(title + "\n\n" + TaskComparison.text(comparisons)) }
        try Console.json([
            "parameters": .int(loaded.model.parameters.parameterCount), "shots": .int(tasks.shots),
            "dtype": .string(type.rawValue), "device": .string(device.description),
            "tasks": .array(comparisons.map(\.tree)),
        ])
    }
}

/// A task scored in all ways, several times each.
private struct TaskComparison {
    /// The ways, that of `retnet eval tasks` first.
    static let ways: [(name: String, key: String, sharing: LogLikelihoodScorer.Options.Sharing)] = [
        ("shared contexts", "", .beginnings), ("in batches", "in_batches", .passes),
        ("one by one", "one_by_one", .nothing),
    ]

    private var results: [[TaskResult]] = ways.map { _ in [] }

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

    private var tokens: (shared: Int, separate: Int) {
        (first?.cost.tokenCount ?? 0, first?.cost.separateTokenCount ?? 0)
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
                "task", "documents", "tokens", "from scratch", "fewer", "seconds", "in batches", "faster",
                "one by one", "faster", "answers differ by",
            ],
            alignments: [.left] + [ColumnAlignment](repeating: .right, count: 10))
        func row(
            _ name: String, _ count: String, _ tokens: (shared: Int, separate: Int), _ seconds: [Double],
            _ difference: String
        ) {
            table.append(
                [
                    name, count, Format.grouped(tokens.shared), Format.grouped(tokens.separate),
                    Format.fixed(Double(tokens.separate) / Double(max(1, tokens.shared)), decimals: 2) + "x",
                    Format.fixed(seconds[0], decimals: 1),
                ]
                    + seconds.dropFirst().flatMap {
                        [Format.fixed($0, decimals: 1), Format.fixed($0 / seconds[0], decimals: 2) + "x"]
                    } + [difference])
        }
        var sums = ways.map { _ in 0.0 }
        var counts = (shared: 0, separate: 0)
        for comparison in comparisons {
            guard let result = comparison.first else { continue }
            let seconds = comparison.medians(\.seconds)
            row(
                result.task.name, Format.grouped(result.samples.count), comparison.tokens, seconds,
                String(format: "%.1e", comparison.difference))
            sums = zip(sums, seconds).map(+)
            counts.shared += comparison.tokens.shared
            counts.separate += comparison.tokens.separate
        }
        if comparisons.count > 1 { row("all", "", counts, sums, "") }
        return table.text()
            + "\nseconds of scoring by the clock with shared contexts, and from scratch in batches and one by one\n"
    }

    var tree: SettingsTree {
        var members: [(String, SettingsTree)] = [
            ("task", .string(first?.task.name ?? "")), ("documents", .int(first?.samples.count ?? 0)),
            ("rounds", .int(results[0].count)),
            ("tokens", .int(tokens.shared)), ("tokens_from_scratch", .int(tokens.separate)),
        ]
        let (seconds, processor) = (medians(\.seconds), medians(\.processorSeconds))
        for (index, way) in Self.ways.enumerated() {
            let suffix = way.key.isEmpty ? "" : "_" + way.key
            members.append(("seconds" + suffix, .double(seconds[index])))
            members.append(("processor_seconds" + suffix, .double(processor[index])))
            if index > 0 { members.append(("speedup" + suffix, .double(seconds[index] / seconds[0]))) }
        }
        members.append(("largest_relative_difference", .double(difference)))
        return .ordered(members)
    }
}
