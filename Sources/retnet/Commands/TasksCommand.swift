import ArgumentParser
import Foundation
import RetNetCheckpoints
import RetNetCommandLine
import RetNetDistributed
import RetNetEngines
import RetNetEvaluation
import RetNetInference
import RetNetMixers
import RetNetModels
import RetNetReporting
import RetNetStorage
import RetNetText
import RetNetTorch

/// `retnet eval tasks`: zero- and few-shot tasks of lm-evaluation-harness.
struct TasksCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "tasks",
        abstract: "Measure zero- and few-shot tasks by the protocol of lm-evaluation-harness.",
        discussion: """
            Prompts, few-shot examples, scores and standard errors are those of EleutherAI's harness, version \
            \(TaskResultFile.harnessVersion). The context of a question is run once for all of its choices; \
            --from-scratch runs every choice from its beginning, to measure what that saves. Models whose state does not grow read \
            contexts of any length; --context N cuts them from the left, as the harness does at a model's max_length. An \
            interrupted evaluation reports the blocks of documents that are finished and exits with 1; with --out it keeps all \
            answers, and the same command continues. Ranks started by `retnet launch`, torchrun, mpirun or srun divide the \
            questions.
            """)

    @Flag(help: "Print the tasks with their data and exit.")
    var list = false

    @Option(help: ArgumentHelp("Model folder, checkpoint, or folder of a run.", valueName: "dir"))
    var model: String?

    @OptionGroup var tasks: TaskOptions
    @OptionGroup var metrics: TaskMetricOptions
    @OptionGroup var device: DeviceOptions
    @OptionGroup var engine: EngineOptions

    @OptionGroup var scoring: ScoringOptions

    @Flag(name: .customLong("from-scratch"), help: "Run every request from its beginning, for comparison.")
    var fromScratch = false

    @Option(
        name: .customLong("out"),
        help: ArgumentHelp(
            "Folder for the harness's result file, in a folder of the model.", valueName: "dir"))
    var output: String?

    @Flag(help: "Write the samples of each task as JSON lines too (with --out).")
    var samples = false

    @Flag(help: "Print the result file instead of a table.")
    var json = false

    func validate() throws {
        guard !list else { return }
        if model == nil { throw ValidationError("give --model, or --list to see the tasks") }
        if tasks.data.isEmpty { throw ValidationError("give --data with a folder or files of tasks") }
        if samples, output == nil { throw ValidationError("--samples needs --out") }
    }

    func run() throws {
        guard !list, let model else { return Console.result(TaskList.text()) }
        let files = try tasks.files()
        let selected = try tasks.tasks(files)
        // Everything that can be refused is refused before the model is loaded.
        for task in selected { try TaskEvaluation.check(task, files: files, shots: tasks.shots) }
        let path = try ModelOptions.modelPath(model)
        let assignment = try SharedWork.assignment()
        let selection = try engine.select(
            path, device.shared(by: assignment), .exact, onlyLibTorch: [(scoring.form != nil, "--form")])
        try SharedWork.run(assignment) { try run(selected, files, model: model, path, selection, $0) }
    }

    /// Evaluates the tasks, alone or with other ranks, of which rank 0 prints and writes the results.
    private func run(
        _ selected: [EvaluationTask], _ files: TaskFiles, model: String, _ path: String,
        _ selection: EngineSelection, _ group: ProcessGroup?
    ) throws {
        let isFirst = group?.rank ?? 0 == 0
        if tasks.shots > 0, isFirst {
            for task in selected where task.kind == .rolling {
                Console.warn("'\(task.name)' predicts whole texts and has no examples")
            }
        }
        let interrupt = InterruptFlag.onSignals()
        let start = Date()
        let opened = try selection.load()
        let tokenizer = try opened.engine.tokenizer
        let configuration = opened.engine.configuration
        var options = scoring.options(
            tasks, configuration, tokenizer, sharing: fromScratch ? .passes : .beginnings)
        options.bootstrapIterations = isFirst ? metrics.bootstrap : 0
        options.addsByteAccuracy = metrics.addsByteAccuracy
        var scorer = try opened.engine.scorer(options.scoring)
        let shared = group.map { [scorer] group in SharedScorer(scorer, ranks: group) { interrupt.isRaised } }
        if let shared { scorer = shared }
        // Ranks stop together.
        let isInterrupted = { shared?.isStopped ?? interrupt.isRaised }
        let evaluation = try TaskEvaluation(
            scorer, vocabularySize: configuration.vocabularySize,
            tokenizer: tokenizer, options: options)
        if isFirst { Console.note("engine \(opened.engine.summary(reason: opened.reason))") }
        // Answers of the two engines differ by rounding, and so do those of states in fewer bits.
        let isExact = engine.stateType == .float32
        let type =
            opened.engine.elementTypeName + (opened.engine.kind == .runtime ? ", runtime" : "")
            + (isExact ? "" : ", \(engine.stateType.rawValue) states")
        var lock: FolderLock?
        var logs: [AnswerLog] = []
        var results: [TaskResult] = []
        for task in selected where !isInterrupted() {
            var log: AnswerLog?
            if let output, isFirst {
                let folder = output + "/" + TaskResultFile.sanitized(model)
                lock = try lock ?? FolderLock(folder, fileName: "evaluation.lock")
                log = try AnswerLog(
                    path: "\(folder)/answers_\(task.name)_\(tasks.shots)shot.jsonl",
                    identity: evaluation.identity(
                        of: task, model: ModelFiles.identity(path), elementType: type))
            }
            if let log {
                logs.append(log)
                if log.knownCount > 0 {
                    Console.note(
                        "\(task.name): \(Format.grouped(log.knownCount)) documents were scored before, in '\(log.path)'"
                    )
                }
            }
            results.append(
                try evaluate(evaluation, task, files, log, showsProgress: isFirst, isInterrupted))
        }
        withExtendedLifetime(lock) {}
        let isComplete = selected.count == results.count && results.allSatisfy(\.isComplete)
        guard isFirst else {
            if !isComplete { throw ExitCodes.interrupted }
            return
        }
        let run = TaskResultFile.Run(
            model: model, parameterCount: opened.engine.parameterCount,
            elementType: opened.engine.elementTypeName, device: opened.engine.deviceName,
            engine: opened.engine.summary,
            form: opened.engine.kind == .libtorch ? options.scoring.form.description : nil,
            tokenizer: tokenizer.identity,
            packageVersion: PackageVersion.current, commit: WorkingCopy.commit(),
            specialTokens: (tokenizer.beginToken, tokenizer.endToken, tokenizer.paddingToken), start: start,
            end: Date())
        let file = TaskResultFile(results, options: options, run: run)
        if let output {
            let path = try file.write(to: output, samples: samples)
            Console.note("the result is in '\(path)'")
        }
        Console.result(json ? file.json(samples: samples).text(indent: 2) : TaskTable.text(results))
        guard isComplete else {
            Console.warn(
                "interrupted: the result covers only the blocks of documents that were finished; "
                    + (logs.isEmpty
                        ? "with --out the same command would continue" : "the same command continues"))
            throw ExitCodes.interrupted
        }
        for log in logs { log.remove() }
    }

    private func evaluate(
        _ evaluation: TaskEvaluation, _ task: EvaluationTask, _ files: TaskFiles, _ log: AnswerLog?,
        showsProgress: Bool, _ isInterrupted: () -> Bool
    ) throws -> TaskResult {
        var bar: ProgressBar?
        defer { bar?.finish() }
        return try evaluation.evaluate(task, files: files, log: log) { count, total in
            if showsProgress {
                let current = bar ?? ProgressBar(title: task.name, total: total)
                bar = current
                current.update(step: count)
            }
            return !isInterrupted()
        }
    }
}

/// The figures of tasks as the harness prints them.
enum TaskTable {
    static func text(_ results: [TaskResult]) -> String {
        var table = MarkdownTable(
            header: ["Tasks", "Version", "Filter", "n-shot", "Metric", "", "Value", "", "Stderr"],
            alignments: [.left, .right, .left, .right, .left, .left, .right, .left, .right])
        let sorted = results.sorted { $0.task.name < $1.task.name }
        for result in sorted {
            let figures = result.figures.sorted { $0.metric.rawValue < $1.metric.rawValue }
            for (index, figure) in figures.enumerated() {
                let isFirst = index == 0
                table.append([
                    isFirst ? result.task.name : "", isFirst ? result.task.version : "", "none",
                    "\(result.shots)", figure.metric.rawValue, figure.metric.isHigherBetter ? "↑" : "↓",
                    figure.value.map { Format.fixed($0, decimals: 4) } ?? "N/A", "±",
                    figure.standardError.map { Format.fixed($0, decimals: 4) } ?? "N/A",
                ])
            }
        }
        return table.text() + "\n" + sorted.map(note).joined(separator: "\n") + "\n"
    }

    /// Returns a line on what was scored, what examples came from, and what sharing contexts has saved.
    private static func note(_ result: TaskResult) -> String {
        var parts = [
            "\(Format.grouped(result.samples.count)) of \(Format.grouped(result.documentCount)) documents"
        ]
        if let path = result.examplesPath { parts.append("examples from '\(path)'") }
        let cost = result.cost
        if result.knownCount > 0 { parts.append("\(Format.grouped(result.knownCount)) scored before") }
        parts.append(
            "\(Format.grouped(cost.tokenCount)) tokens run instead of \(Format.grouped(cost.separateTokenCount))"
                + " from scratch (\(Format.fixed(cost.saving, decimals: 2))x) in \(Format.fixed(cost.seconds, decimals: 1)) s"
        )
        return "\(result.task.name): " + parts.joined(separator: "; ")
            + (result.isComplete ? "" : "; partial")
    }
}

/// The tasks, their splits and their data.
enum TaskList {
    static func text() -> String {
        var table = TextTable(
            header: ["task", "version", "evaluates", "examples from", "metrics", "data set", "fields"])
        for task in EvaluationTask.all {
            let dataset = task.dataset.path + (task.dataset.configuration.map { ", \($0)" } ?? "")
            table.append([
                task.name, task.version, task.evaluatedSplit.rawValue,
                task.kind == .rolling ? "none" : task.fewShotSplit.rawValue,
                task.metrics.map(\.rawValue).joined(separator: ", "), dataset, task.fields,
            ])
        }
        let groups = EvaluationTask.groups.map { "\($0.name): \($0.tasks.joined(separator: ", "))" }
        return table.text() + "\n" + groups.joined(separator: "\n") + "\n"
    }
}

/// The files of a model, to notice that others have taken their place.
enum ModelFiles {
    /// Returns path, size and time of change of the largest file of a folder, which holds weights, or of a file.
    static func identity(_ path: String) -> String {
        let files = FileManager.default
        var isFolder: ObjCBool = false
        _ = files.fileExists(atPath: path, isDirectory: &isFolder)
        let names = isFolder.boolValue ? (try? files.contentsOfDirectory(atPath: path)) ?? [] : [""]
        let all = names.compactMap { name -> (size: Int, date: Double)? in
            let file = URL(fileURLWithPath: path + "/" + name).resolvingSymlinksInPath().path
            guard let attributes = try? files.attributesOfItem(atPath: file),
                let size = attributes[.size] as? NSNumber, let date = attributes[.modificationDate] as? Date
            else { return nil }
            return (size.intValue, date.timeIntervalSince1970)
        }
        let largest = all.max { $0.size < $1.size } ?? (0, 0)
        return "\(URL(fileURLWithPath: path).standardizedFileURL.path) \(largest.size) \(largest.date)"
    }
}

/// The git repository that the command runs in.
enum WorkingCopy {
    /// Returns the commit that is checked out; nil outside a repository.
    static func commit() -> String? {
        guard var head = text(".git/HEAD") else { return nil }
        if head.hasPrefix("ref: ") { head = text(".git/" + head.dropFirst(5)) ?? "" }
        return head.allSatisfy(\.isHexDigit) && !head.isEmpty ? String(head.prefix(40)) : nil
    }

    private static func text(_ path: String) -> String? {
        (try? String(contentsOfFile: path, encoding: .utf8))?.split(separator: "\n").first.map(String.init)
    }
}
