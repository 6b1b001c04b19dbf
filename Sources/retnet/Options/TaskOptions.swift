import ArgumentParser
import Foundation
import RetNetArchitecture
import RetNetCommandLine
import RetNetEvaluation
import RetNetMixers
import RetNetText

/// The tasks of an evaluation, the files with their documents, and what the harness makes of these.
struct TaskOptions: ParsableArguments {
    @Option(
        name: .customLong("tasks"), parsing: .unconditionalSingleValue,
        help: ArgumentHelp(
            "Tasks or groups of tasks, separated by commas (default: all whose data are there).",
            discussion: "`retnet eval tasks --list` prints them.", valueName: "names"))
    var names: [String] = []

    @Option(
        help: ArgumentHelp(
            "Folder with data files, or TASK=FILE or TASK:SPLIT=FILE; may be given several times.",
            discussion: """
                Files hold JSON lines, plain or gzip, in the fields of the data sets on the Hugging Face hub. In a folder \
                they are named TASK_SPLIT.jsonl or TASK/SPLIT.jsonl. TASK=FILE is the split that is evaluated, \
                TASK:train=FILE the one of few-shot examples.
                """, valueName: "path"))
    var data: [String] = []

    @Option(
        parsing: .unconditional, help: "Examples before each question.", transform: Arguments.nonNegative)
    var shots = 0

    @Option(
        parsing: .unconditional, help: "Largest number of documents per task (default: all).",
        transform: Arguments.positive)
    var limit: Int?

    @Option(
        parsing: .unconditional, help: "Seed for the few-shot examples, drawn as the harness draws them.",
        transform: Arguments.seed)
    var seed = 1234

    @Option(
        name: .customLong("add-bos"), parsing: .unconditional,
        help: ArgumentHelp(
            "The begin token before each text: auto, yes or no.",
            discussion: "auto does what the tokenizer's own settings say."))
    var beginToken = BeginTokenChoice.auto

    func validate() throws {
        _ = try files()
        _ = try named()
    }

    /// Returns the tasks that were named; nil if none were.
    private func named() throws -> [EvaluationTask]? {
        let names = names.flatMap { $0.split(separator: ",").map(String.init) }
        guard !names.isEmpty else { return nil }
        var tasks: [EvaluationTask] = []
        for name in names {
            let members = EvaluationTask.groups.first { $0.name == name }?.tasks ?? [name]
            for member in members where !tasks.contains(where: { $0.name == member }) {
                do {
                    tasks.append(try EvaluationTask.named(member))
                } catch {
                    throw ValidationError("\(error), or a group of `retnet eval tasks --list`")
                }
            }
        }
        return tasks
    }

    /// Returns the tasks to evaluate: the named ones, else those whose data are there.
    func tasks(_ files: TaskFiles) throws -> [EvaluationTask] {
        if let tasks = try named() { return tasks }
        let found = try EvaluationTask.all.filter { try files.path($0, $0.evaluatedSplit) != nil }
        guard !found.isEmpty else {
            throw CommandError(
                "none of the files in \(data.map { "'\($0)'" }.joined(separator: ", ")) is named for a task: name files "
                    + "TASK_SPLIT.jsonl, such as hellaswag_validation.jsonl, or give --data TASK=FILE")
        }
        return found
    }

    /// Returns the places of data files.
    func files() throws -> TaskFiles {
        var files = TaskFiles()
        for argument in data {
            let parts = argument.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            let target = parts[0].split(separator: ":", maxSplits: 1).map(String.init)
            if parts.count == 2, let name = target.first,
                let task = EvaluationTask.all.first(where: { $0.name == name })
            {
                guard let split = Self.split(target.dropFirst().first, task) else {
                    throw ValidationError(
                        "'\(argument)' names no split of '\(name)': use "
                            + task.splits.map(\.rawValue).joined(separator: ", "))
                }
                files.named.append((name, split, String(parts[1])))
                continue
            }
            var isFolder: ObjCBool = false
            guard FileManager.default.fileExists(atPath: argument, isDirectory: &isFolder), isFolder.boolValue
            else {
                throw ValidationError(
                    "'\(argument)' is neither a folder nor TASK=FILE with a task of `retnet eval tasks --list`"
                )
            }
            files.folders.append(argument)
        }
        return files
    }

    private static func split(_ name: String?, _ task: EvaluationTask) -> EvaluationTask.Split? {
        guard let name else { return task.evaluatedSplit }
        return EvaluationTask.Split(rawValue: name).flatMap { task.splits.contains($0) ? $0 : nil }
    }
}

/// The figures that are made of the scores of requests.
struct TaskMetricOptions: ParsableArguments {
    @Option(
        parsing: .unconditional,
        help: "Bootstrap samples for the standard error of perplexity; 0 for no standard errors.",
        transform: Arguments.nonNegative)
    var bootstrap = 100_000

    @Flag(name: .customLong("acc-bytes"), help: "Add accuracy normalized by bytes to acc_norm.")
    var addsByteAccuracy = false
}

/// How requests are run through a model.
struct ScoringOptions: ParsableArguments {
    @Option(
        parsing: .unconditional,
        help: ArgumentHelp(
            "Tokens that the model reads at most, the harness's max_length.",
            discussion: """
                By default there is no limit, and for models whose state grows with the text it is their training length.
                """),
        transform: Arguments.positive)
    var context: Int?

    @Option(
        parsing: .unconditional,
        help:
            "Form of computation with LibTorch: parallel, chunkwise:N or recurrent (default: chunkwise:256).",
        transform: Arguments.form)
    var form: MixerForm?

    @Option(
        parsing: .unconditional, help: "Tokens per pass of the model; bounds the memory.",
        transform: Arguments.positive)
    var window = 4096

    /// Returns the options of an evaluation of a model, without standard errors.
    func options(
        _ tasks: TaskOptions, _ configuration: LanguageModelConfiguration, _ tokenizer: any Tokenizer,
        sharing: LogLikelihoodScorer.Options.Sharing = .beginnings
    ) -> TaskEvaluation.Options {
        var options = TaskEvaluation.Options()
        options.shots = tasks.shots
        options.seed = UInt64(tasks.seed)
        options.limit = tasks.limit
        options.bootstrapIterations = 0
        options.maximumLength = context ?? configuration.evaluationWindowLength
        options.addsBeginToken = !tasks.beginToken.tokens(tokenizer).isEmpty
        options.scoring = .init(form: form ?? .chunkwise(256), tokensPerPass: window, sharing: sharing)
        return options
    }
}
