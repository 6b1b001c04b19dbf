import ArgumentParser
import Foundation
import RetNetCheckpoints
import RetNetCommandLine
import RetNetEvaluation
import RetNetGeneration
import RetNetModels
import RetNetReporting
import RetNetSettings
import RetNetStorage
import RetNetTorch
import RetNetTraining

/// `retnet t5 eval`: evaluation of a T5 on text-to-text tasks.
struct T5EvalCommand: ParsableCommand, ComputingCommand {
    static let configuration = CommandConfiguration(
        commandName: "eval",
        abstract: "Evaluate a T5 on text-to-text tasks.",
        discussion: """
            Loss and token accuracy are measured with teacher forcing, the metrics of a task on generated outputs.
            """)

    @OptionGroup var model: ModelOptions
    @OptionGroup var device: DeviceOptions
    @OptionGroup var search: BeamOptions

    @Option(name: .customLong("task"), help: TaskArgument.help)
    var tasks: [TaskArgument] = []

    @Option(
        parsing: .unconditional, help: "Largest number of examples per task (default: all).",
        transform: Arguments.positive)
    var limit: Int?

    @Option(
        name: .customLong("input-length"),
        parsing: .unconditional,
        help: "Tokens per source, the end token included; longer ones are truncated.",
        transform: Arguments.positive)
    var inputLength = 512

    @Option(
        name: .customLong("target-length"),
        parsing: .unconditional,
        help: "Tokens per target, the end token included; longer ones are truncated.",
        transform: Arguments.positive)
    var targetLength = 64

    @Option(
        name: .customLong("batch"), parsing: .unconditional, help: "Examples per pass.",
        transform: Arguments.positive)
    var batchSize = 32

    @Option(
        name: .shortAndLong,
        help: ArgumentHelp("JSON file to write, with the generated outputs.", valueName: "file"))
    var output: String?

    @Flag(help: "Print one JSON object.")
    var json = false

    func validate() throws {
        if tasks.isEmpty { throw ValidationError("give at least one --task") }
    }

    func run() throws {
        if let output { try Arguments.checkOutput(output, replaceable: true) }
        let interrupt = InterruptFlag.onSignals()
        let (device, type) = try device.prepare(.exact)
        let examples = try tasks.map { task in
            let all = try TextToTextFile.examples(task.task, path: task.path)
            return (task.task, limit.map { Array(all.prefix($0)) } ?? all)
        }
        let path = try model.modelPath()
        let loaded = try T5Folder.load(
            path, elementType: type, device: device, computeType: type, sharesFiles: true)
        let evaluator = TaskEvaluator(
            loaded.model, tokenizer: try loaded.tokenizer, inputLength: inputLength,
            targetLength: targetLength, batchSize: batchSize)
        let parameters = search.parameters(loaded.generationDefaults, maxTokens: targetLength)
        var reports: [TaskReport] = []
        for (task, examples) in examples where !interrupt.isRaised {
            reports.append(
                try TaskProgress.evaluate(evaluator, task, examples, interrupt, search: parameters))
        }
        if let output {
            let trees = reports.map { report in
                report.tree.merging(["outputs": .array(report.outputs.map { .string($0) })])
            }
            let tree: SettingsTree = ["model": .string(path), "tasks": .array(trees)]
            try AtomicFile.write(Data(try tree.jsonText().utf8), to: output)
        }
        if json {
            try Console.json(["model": .string(path), "tasks": .array(reports.map(\.tree))])
        } else {
            Console.result(TaskReportTable.text(reports))
        }
        if interrupt.isRaised { throw ExitCodes.interrupted }
    }
}

/// The evaluation of a task with a progress bar.
enum TaskProgress {
    static func evaluate(
        _ evaluator: TaskEvaluator, _ task: TextToTextTask, _ examples: [TextToTextExample],
        _ interrupt: InterruptFlag, search: BeamSearchParameters = BeamSearchParameters()
    ) throws -> TaskReport {
        let bar = ProgressBar(title: "measuring \(task.rawValue)", total: examples.count)
        let report = try evaluator.evaluate(task, examples, search: search) { count in
            bar.update(step: count)
            return !interrupt.isRaised
        }
        bar.finish()
        return report
    }
}

/// A task with a file of examples on the command line: `NAME=PATH`.
struct TaskArgument: ExpressibleByArgument {
    let task: TextToTextTask
    let path: String

    init?(argument: String) {
        let parts = argument.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
        guard parts.count == 2, let task = TextToTextTask(rawValue: String(parts[0])), !parts[1].isEmpty
        else {
            return nil
        }
        self.task = task
        path = String(parts[1])
    }

    static let names = TextToTextTask.allCases.map(\.rawValue).joined(separator: ", ")

    /// The help text of a list of tasks.
    static let help = ArgumentHelp(
        "Task and file of its examples, one JSON object per line, plain or gzip; may be given several times.",
        discussion: "Tasks: \(names).", valueName: "task=path")
}

/// The figures of tasks as a table.
enum TaskReportTable {
    static func text(_ reports: [TaskReport]) -> String {
        var table = TextTable(
            header: ["task", "examples", "loss", "token accuracy", "exact text", "metrics"],
            alignments: [.left, .right, .right, .right, .right, .left])
        for report in reports {
            table.append([
                report.task.rawValue, Format.grouped(report.exampleCount),
                Format.fixed(report.loss, decimals: 4), percent(report.tokenAccuracy),
                percent(report.exactTextShare),
                report.metrics.map { "\($0.name) \(Format.fixed($0.value, decimals: 2))" }
                    .joined(separator: ", "),
            ])
        }
        return table.text()
    }

    private static func percent(_ share: Double) -> String { Format.fixed(100 * share, decimals: 2) + " %" }
}
