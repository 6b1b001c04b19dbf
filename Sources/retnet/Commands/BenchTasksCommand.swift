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
            Each task is scored as `retnet eval tasks` does it and with every request on its own, in both orders: shared, from \
            scratch, from scratch, shared. Times are those of scoring alone. The two must give the same answers to rounding, \
            which is checked. Tokens are those that the model reads; the output layer runs for the scored ones only, in both \
            ways equally.
            """)

    @Option(
        help: ArgumentHelp(
            "Model folder, checkpoint, folder of a run, or OWNER/NAME[@REVISION] on the hub.",
            valueName: "dir"))
    var model: String

    @OptionGroup var tasks: TaskOptions
    @OptionGroup var scoring: ScoringOptions
    @OptionGroup var device: DeviceOptions

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
        func evaluation(sharing: Bool) throws -> TaskEvaluation {
            var options = scoring.options(
                tasks, loaded.configuration, tokenizer, sharesContexts: sharing)
            options.bootstrapIterations = 0
            return try TaskEvaluation(loaded.model, tokenizer: tokenizer, options: options)
        }
        let (shared, separate) = (try evaluation(sharing: true), try evaluation(sharing: false))
        var comparisons: [TaskComparison] = []
        for task in selected {
            var comparison = TaskComparison()
            for (index, sharing) in [true, false, false, true].enumerated() {
                let bar = ProgressBar(
                    title: "\(task.name), \(sharing ? "shared" : "from scratch"), \(index + 1) of 4", total: 1
                )
                let result = try (sharing ? shared : separate).evaluate(task, files: files) { count, total in
                    bar.update(step: count == total ? 1 : 0)
                    return !interrupt.isRaised
                }
                bar.finish()
                guard !interrupt.isRaised else { throw ExitCodes.interrupted }
                comparison.add(result, sharing: sharing)
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

/// A task scored in both ways, twice each.
private struct TaskComparison {
    private var shared: [TaskResult] = []
    private var separate: [TaskResult] = []

    mutating func add(_ result: TaskResult, sharing: Bool) {
        if sharing { shared.append(result) } else { separate.append(result) }
    }

    /// Mean seconds of scoring.
    private static func seconds(_ results: [TaskResult]) -> Double { mean(results.map(\.cost.seconds)) }
    private static func processorSeconds(_ results: [TaskResult]) -> Double {
        mean(results.map(\.cost.processorSeconds))
    }
    private static func mean(_ values: [Double]) -> Double {
        values.isEmpty ? .nan : values.reduce(0, +) / Double(values.count)
    }

    private var tokens: (shared: Int, separate: Int) {
        (shared.first?.cost.tokenCount ?? 0, separate.first?.cost.tokenCount ?? 0)
    }

    /// The largest difference of the log-likelihoods of a request, in relation to its size or 1.
    private var difference: Double {
        var largest = 0.0
        guard let first = shared.first, let second = separate.first else { return .nan }
        for (a, b) in zip(first.samples, second.samples) {
            for (x, y) in zip(a.answers, b.answers) {
                let gap = abs(x.logLikelihood - y.logLikelihood) / max(1, abs(y.logLikelihood))
                // Not `max`, which would drop NaN.
                if !(gap <= largest) { largest = gap }
            }
        }
        return largest
    }

    static func text(_ comparisons: [TaskComparison]) -> String {
        var table = TextTable(
            header: [
                "task", "documents", "tokens", "from scratch", "fewer", "seconds", "from scratch", "faster",
                "processor", "answers differ by",
            ],
            alignments: [.left] + [ColumnAlignment](repeating: .right, count: 9))
        var (sharedSum, separateSum, ownSum, otherSum) = (0.0, 0.0, 0.0, 0.0)
        var counts = (shared: 0, separate: 0)
        func row(
            _ name: String, _ count: String, _ tokens: (shared: Int, separate: Int), _ own: Double,
            _ other: Double, _ ownTime: Double, _ otherTime: Double, _ difference: String
        ) {
            table.append([
                name, count, Format.grouped(tokens.shared), Format.grouped(tokens.separate),
                Format.fixed(Double(tokens.separate) / Double(max(1, tokens.shared)), decimals: 2) + "x",
                Format.fixed(own, decimals: 1), Format.fixed(other, decimals: 1),
                Format.fixed(other / own, decimals: 2) + "x",
                Format.fixed(otherTime / ownTime, decimals: 2) + "x", difference,
            ])
        }
        for comparison in comparisons {
            guard let result = comparison.shared.first else { continue }
            let (own, other) = (seconds(comparison.shared), seconds(comparison.separate))
            let times = (
                processorSeconds(comparison.shared), processorSeconds(comparison.separate)
            )
            row(
                result.task.name, Format.grouped(result.samples.count), comparison.tokens, own, other,
                times.0, times.1, String(format: "%.1e", comparison.difference))
            sharedSum += own
            separateSum += other
            ownSum += times.0
            otherSum += times.1
            counts.shared += comparison.tokens.shared
            counts.separate += comparison.tokens.separate
        }
        if comparisons.count > 1 { row("all", "", counts, sharedSum, separateSum, ownSum, otherSum, "") }
        return table.text()
            + "\nmeans of two runs in both orders; 'faster' by the clock, 'processor' by the time of all threads\n"
    }

    var tree: SettingsTree {
        let (own, other) = (Self.seconds(shared), Self.seconds(separate))
        return [
            "task": .string(shared.first?.task.name ?? ""),
            "documents": .int(shared.first?.samples.count ?? 0),
            "tokens": .int(tokens.shared), "tokens_from_scratch": .int(tokens.separate),
            "seconds": .double(own), "seconds_from_scratch": .double(other), "speedup": .double(other / own),
            "processor_seconds": .double(Self.processorSeconds(shared)),
            "processor_seconds_from_scratch": .double(Self.processorSeconds(separate)),
            "largest_relative_difference": .double(difference),
        ]
    }
}
