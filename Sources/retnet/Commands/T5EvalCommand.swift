import ArgumentParser
import Foundation
import RetNetCheckpoints
import RetNetEvaluation
import RetNetGeneration
import RetNetModels
import RetNetReporting
import RetNetSettings
import RetNetStorage
import RetNetTorch
import RetNetTraining

/// `retnet t5 eval`: how well a T5 does text-to-text tasks.
struct T5EvalCommand: ParsableCommand, ComputingCommand {
    static let configuration = CommandConfiguration(
        commandName: "eval",
        abstract: "Measure a T5 on text-to-text tasks.",
        discussion: """
            Loss and token accuracy read the true tokens before each target; the metrics of a task are those of what \
            the model writes by itself.
            """)

    @OptionGroup var model: ModelOptions
    @OptionGroup var device: DeviceOptions
    @OptionGroup var search: BeamOptions

    @Option(name: .customLong("task"), help: TaskArgument.help)
    var tasks: [TaskArgument] = []

    @Option(
        help: "How many examples of each task are measured (default: all).", transform: Arguments.positive)
    var limit: Int?

    @Option(
        name: .customLong("input-length"), help: "Tokens of a source, the end included; longer ones are cut.",
        transform: Arguments.positive)
    var inputLength = 512

    @Option(
        name: .customLong("target-length"),
        help: "Tokens of a target, the end included; longer ones are cut.",
        transform: Arguments.positive)
    var targetLength = 64

    @Option(name: .customLong("batch"), help: "Examples of one pass.", transform: Arguments.positive)
    var batchSize = 32

    @Option(
        name: .shortAndLong,
        help: ArgumentHelp("A JSON file to write, with what the model wrote.", valueName: "file"))
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
        let loaded = try T5Folder.load(path, elementType: type, device: device, computeType: type)
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

/// Measures a task under a progress bar.
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
