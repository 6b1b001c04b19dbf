import ArgumentParser
import Foundation
import RetNetCommandLine
import RetNetEvaluation
import RetNetSettings
import RetNetStorage
import RetNetTraining

/// `retnet t5 finetune`: a T5 learns text-to-text tasks.
struct T5FinetuneCommand: TrainingCommand {
    typealias Task = EncoderDecoderTask

    static let configuration = CommandConfiguration(
        commandName: "finetune",
        abstract: "Fine-tune a T5 on text-to-text tasks, and measure it on them.",
        discussion: """
            Several tasks are drawn in proportion to their size; --set data.size_limit=N counts larger ones as N \
            examples, and --set data.temperature=T brings the shares closer to each other. Rows are packed \
            (--set data.packing=false gives every example a row). Without other settings it is trained as T5X does: \
            Adafactor at a constant 0.001. --set model.dropout=0.1 turns dropout on.

            Validation during the run reads the true tokens before each target. At the end every task with \
            --validation-data is measured by the model's own outputs; the figures are printed and written to \
            evaluation.json in --out.
            """)

    @Option(
        help: ArgumentHelp("A folder with a T5, a checkpoint, or the folder of a run.", valueName: "dir"))
    var model: String?

    @Option(name: .customLong("task"), help: TaskArgument.help)
    var tasks: [TaskArgument] = []

    @Option(
        name: .customLong("validation-data"),
        help: ArgumentHelp("Examples of a task that are never trained on.", valueName: "task=path"))
    var newValidations: [TaskArgument] = []

    @Option(name: .customLong("validation"), help: .hidden)
    var oldValidations: [TaskArgument] = []

    private var validations: [TaskArgument] { newValidations + oldValidations }

    @Option(
        name: .customLong("evaluation-limit"),
        parsing: .unconditional,
        help: "Examples of each --validation-data that are measured at the end (default: all).",
        transform: Arguments.positive)
    var evaluationLimit: Int?

    @OptionGroup var options: RunOptions

    func validate() throws {
        if options.config == nil, !options.resume {
            if model == nil { throw ValidationError("give --model (or --config, or --resume)") }
            if tasks.isEmpty { throw ValidationError("give at least one --task (or --config, or --resume)") }
        }
        if let twice = Dictionary(grouping: validations, by: \.task).first(where: { $0.value.count > 1 }) {
            throw ValidationError("--validation-data is given twice for \(twice.key.rawValue)")
        }
        let known = Set(tasks.map(\.task))
        if !tasks.isEmpty, let lonely = validations.first(where: { !known.contains($0.task) }) {
            throw ValidationError("--validation-data \(lonely.task.rawValue)=… has no --task of that name")
        }
        if tasks.isEmpty, !validations.isEmpty {
            throw ValidationError("--validation-data needs --task of the same name")
        }
    }

    var namesModel: Bool { model != nil }

    func assignments() throws -> [SettingsAssignment] {
        if !oldValidations.isEmpty { Console.warn("--validation is now called --validation-data") }
        var result: [SettingsAssignment] = []
        if let model {
            result.append(SettingsAssignment("initial_model", .string(try ModelOptions.modelPath(model))))
        }
        for validation in validations {
            try Arguments.checkRereadable(
                validation.path, because: "it is measured during the run and at its end")
        }
        if !tasks.isEmpty {
            let list = tasks.map { task in
                TextToTextDataConfiguration.TaskFiles(
                    task: task.task, path: task.path,
                    validationPath: validations.first { $0.task == task.task }?.path
                ).settings
            }
            result.append(SettingsAssignment("data.tasks", .array(list)))
        }
        return result
    }

    func check(_ configuration: RunConfiguration<EncoderDecoderTask>) throws {
        guard configuration.task.data.hasTasks else {
            throw CommandError("there are no tasks to learn: give --task, or data.tasks in the configuration")
        }
    }

    func evaluation(of run: TrainingRun<EncoderDecoderTask>) throws -> (
        (_ interrupt: InterruptFlag) throws -> SettingsTree
    )? {
        let data = run.configuration.task.data
        let examples: [(TextToTextTask, [TextToTextExample])] = try data.tasks.compactMap { task in
            guard let path = task.validationPath else { return nil }
            let all = try TextToTextFile.examples(task.task, path: path)
            return (task.task, evaluationLimit.map { Array(all.prefix($0)) } ?? all)
        }
        guard !examples.isEmpty else { return nil }
        let evaluator = TaskEvaluator(
            run.trainer.task.model, tokenizer: run.tokenizer, inputLength: data.inputLength,
            targetLength: data.targetLength)
        return { interrupt in
            let reports = try examples.map { task, examples in
                try TaskProgress.evaluate(evaluator, task, examples, interrupt)
            }
            let figures: SettingsTree = ["tasks": .array(reports.map(\.tree))]
            let step: SettingsTree = ["step": .int(run.trainer.step)]
            try AtomicFile.write(
                Data(try step.merging(figures).jsonText().utf8), to: run.folder.path + "/evaluation.json")
            if !options.json { Console.result(TaskReportTable.text(reports)) }
            return figures
        }
    }
}
