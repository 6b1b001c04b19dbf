import ArgumentParser
import Foundation
import RetNetEvaluation
import RetNetModels
import RetNetSettings
import RetNetStorage
import RetNetTorch
import RetNetTraining

/// `retnet t5 finetune`: a T5 learns text-to-text tasks.
struct T5FinetuneCommand: ParsableCommand, ComputingCommand {
    static let configuration = CommandConfiguration(
        commandName: "finetune",
        abstract: "Teach a T5 text-to-text tasks, and measure it on them.",
        discussion: """
            Several tasks are drawn in proportion to their size; --set data.size_limit=N counts larger ones as if they \
            had N examples, and --set data.temperature=T brings the shares closer to each other. Rows are packed \
            (--set data.packing=false gives every example a row). Without other settings it is trained as T5X does: \
            Adafactor at a constant 0.001. --set model.dropout=0.1 turns dropout on.

            Validation during the run reads the true tokens before each target. At the end every task with \
            --validation is measured by what the model writes; the figures are printed and kept in \
            evaluation.json in --out.
            """)

    @Option(
        help: ArgumentHelp("A folder with a T5, a checkpoint, or the folder of a run.", valueName: "dir"))
    var model: String?

    @Option(name: .customLong("task"), help: TaskArgument.help)
    var tasks: [TaskArgument] = []

    @Option(
        name: .customLong("validation"),
        help: ArgumentHelp("Examples of a task that are never trained on.", valueName: "task=path"))
    var validations: [TaskArgument] = []

    @Option(
        name: .customLong("evaluation-limit"),
        help: "How many examples of each --validation are measured at the end.",
        transform: Arguments.positive)
    var evaluationLimit: Int?

    @OptionGroup var options: RunOptions

    func validate() throws {
        if options.config == nil, !options.resume {
            if model == nil { throw ValidationError("give --model (or --config, or --resume)") }
            if tasks.isEmpty { throw ValidationError("give at least one --task (or --config, or --resume)") }
        }
        if let twice = Dictionary(grouping: validations, by: \.task).first(where: { $0.value.count > 1 }) {
            throw ValidationError("--validation is given twice for \(twice.key.rawValue)")
        }
        let known = Set(tasks.map(\.task))
        if !tasks.isEmpty, let lonely = validations.first(where: { !known.contains($0.task) }) {
            throw ValidationError("--validation \(lonely.task.rawValue)=… has no --task of that name")
        }
        if tasks.isEmpty, !validations.isEmpty {
            throw ValidationError("--validation needs --task of the same name")
        }
    }

    func run() throws {
        let interrupt = InterruptFlag.onSignals()
        let (device, _) = try options.device.prepare(.fast)
        let settings = try settings()
        guard settings.data.learnsTasks else {
            throw CommandError("there are no tasks to learn: give --task, or data.tasks in the configuration")
        }
        if options.dryRun {
            Console.result(try settings.resolved().yamlText)
            return
        }
        let training = try options.makeRun(settings, on: device)
        let examples = try validationExamples(training.configuration)
        let outcome = try training.run(interrupt: interrupt, observers: [ProgressObserver()])
        var tree = options.tree(outcome, training)
        if outcome.reason == .finished, !examples.isEmpty {
            let reports = try examples.map { task, examples in
                try TaskProgress.evaluate(training.evaluator(), task, examples, interrupt)
            }
            let figures: SettingsTree = ["step": .int(outcome.step), "tasks": .array(reports.map(\.tree))]
            try AtomicFile.write(
                Data(try figures.jsonText().utf8), to: training.folder.path + "/evaluation.json")
            tree = tree.merging(["tasks": .array(reports.map(\.tree))])
            if !options.json { Console.result(TaskReportTable.text(reports)) }
        }
        try options.finish(outcome, tree)
        if interrupt.isRaised { throw ExitCodes.interrupted }
    }

    /// Read before the run, so that a mistake in a file is not found hours later.
    private func validationExamples(_ configuration: T5TrainingConfiguration) throws -> [(
        TextToTextTask, [TextToTextExample]
    )] {
        try configuration.data.tasks.compactMap { task in
            guard let path = task.validationPath else { return nil }
            let all = try TextToTextFile.examples(task.task, path: path)
            return (task.task, evaluationLimit.map { Array(all.prefix($0)) } ?? all)
        }
    }

    private func settings() throws -> T5TrainingConfiguration {
        var document = try options.document(isBegun: model != nil)
        var result = SettingsObject()
        if let model { result["initial_model"] = .string(try ModelOptions.modelPath(model)) }
        if !tasks.isEmpty {
            let list = tasks.map { task in
                T5TaskConfiguration(
                    task: task.task, path: task.path,
                    validationPath: validations.first { $0.task == task.task }?.path
                ).settings
            }
            result["data"] = ["tasks": .array(list)]
        }
        document.merge(.object(result))
        document.merge(options.settings(over: document.tree))
        return try T5TrainingConfiguration(document, assignments: options.changes)
    }
}
