import Foundation
import RetNetStorage

/// The result of an evaluation in the shape of lm-evaluation-harness's result file.
///
/// Scripts that compare or plot the harness's files read these too. What only this package records stands under `retnet`.
public struct TaskResultFile: Sendable {
    /// What a result says of the evaluated model and of the run.
    public struct Run: Sendable {
        /// The model as it was given.
        public var model: String
        /// The number of parameters.
        public var parameterCount: Int
        /// The element type of computation.
        public var elementType: String
        /// The device.
        public var device: String
        /// The program that computed and how, such as `runtime (float32 weights, avx512, 2 threads)`.
        public var engine: String
        /// The form of computation, of engines that have several.
        public var form: String?
        /// The tokenizer.
        public var tokenizer: String
        /// The version of this package.
        public var packageVersion: String
        /// The commit of the repository that the command ran in, if any.
        public var commit: String?
        /// The begin, end and padding token.
        public var specialTokens: (begin: Int32?, end: Int32?, padding: Int32?)
        /// The begin of the evaluation.
        public var start: Date
        /// The end of the evaluation.
        public var end: Date

        /// Creates a description.
        public init(
            model: String, parameterCount: Int, elementType: String, device: String, engine: String,
            form: String?, tokenizer: String, packageVersion: String, commit: String?,
            specialTokens: (begin: Int32?, end: Int32?, padding: Int32?), start: Date, end: Date
        ) {
            self.model = model
            self.parameterCount = parameterCount
            self.elementType = elementType
            self.device = device
            self.engine = engine
            self.form = form
            self.tokenizer = tokenizer
            self.packageVersion = packageVersion
            self.commit = commit
            self.specialTokens = specialTokens
            self.start = start
            self.end = end
        }
    }

    /// The version of the harness whose protocol is followed.
    public static let harnessVersion = "0.4.13"

    private let results: [TaskResult]
    private let options: TaskEvaluation.Options
    private let run: Run

    /// Creates the file of one evaluation.
    public init(_ results: [TaskResult], options: TaskEvaluation.Options, run: Run) {
        self.results = results
        self.options = options
        self.run = run
    }

    /// The whole file.
    ///
    /// With `samples` it has the checksum of each task's samples, as the harness's file has it where samples are logged.
    public func json(samples: Bool = false) -> JSONValue {
        func perTask(_ value: (TaskResult) -> JSONValue) -> JSONValue {
            .object(results.map { ($0.task.name, value($0)) })
        }
        let name = Self.sanitized(run.model)
        return .object([
            ("results", perTask(figures)), ("group_subtasks", .object([])),
            ("configs", perTask(configuration)),
            ("versions", perTask { Self.version($0.task) }),
            ("n-shot", perTask { .int($0.shots) }),
            (
                "higher_is_better",
                perTask { .object($0.metrics.map { ($0.rawValue, .bool($0.isHigherBetter)) }) }
            ),
            (
                "n-samples",
                perTask { ["original": .int($0.documentCount), "effective": .int($0.samples.count)] }
            ),
            ("config", config), ("git_hash", run.commit.map { .string($0) } ?? .null),
            ("date", .double(run.start.timeIntervalSince1970)),
            (
                "pretty_env_info",
                .string(
                    "retnet \(run.packageVersion) on \(ProcessInfo.processInfo.operatingSystemVersionString)")
            ),
            ("transformers_version", "N/A"), ("upper_git_hash", .null),
            ("lm_eval_version", .string(Self.harnessVersion)),
            ("eot_token_id", Self.id(run.specialTokens.end)),
            ("tokenizer_pad_token", Self.named(run.specialTokens.padding)),
            ("tokenizer_eos_token", Self.named(run.specialTokens.end)),
            ("tokenizer_bos_token", Self.named(run.specialTokens.begin)),
            ("max_length", options.maximumLength.map { .int($0) } ?? .null),
            ("task_hashes", samples ? perTask(Self.checksum) : .object([])), ("model_source", "retnet"),
            ("model_name", .string(run.model)), ("model_name_sanitized", .string(name)),
            ("system_instruction", .null), ("system_instruction_sha", .null), ("fewshot_as_multiturn", false),
            ("chat_template", .null), ("chat_template_sha", .null),
            ("start_time", .double(run.start.timeIntervalSince1970)),
            ("end_time", .double(run.end.timeIntervalSince1970)),
            (
                "total_evaluation_time_seconds", .string("\(run.end.timeIntervalSince(run.start))")
            ),
            ("retnet", own),
        ])
    }

    private func figures(_ result: TaskResult) -> JSONValue {
        let name = result.task.name
        var members: [(name: String, value: JSONValue)] = [
            ("name", .string(name)), ("alias", .string(name)), ("sample_len", .int(result.samples.count)),
        ]
        for figure in result.figures {
            let metric = figure.metric.rawValue
            members.append(("\(metric),none", figure.value.map { .double($0) } ?? .null))
            members.append(
                ("\(metric)_stderr,none", figure.standardError.map { .double($0) } ?? "N/A"))
        }
        return .object(members)
    }

    private func configuration(_ result: TaskResult) -> JSONValue {
        let task = result.task
        func split(_ split: EvaluationTask.Split) -> JSONValue {
            task.splits.contains(split) ? .string(split.rawValue) : .null
        }
        return [
            "task": .string(task.name), "dataset_path": .string(task.dataset.path),
            "dataset_name": task.dataset.configuration.map { .string($0) } ?? .null,
            "training_split": split(.train), "validation_split": split(.validation),
            "test_split": split(.test), "target_delimiter": .string(TaskQuestion.targetDelimiter),
            "fewshot_delimiter": .string(TaskQuestion.exampleDelimiter), "num_fewshot": .int(result.shots),
            "metric_list": .array(
                result.metrics.map {
                    [
                        "metric": .string($0.rawValue), "aggregation": .string($0.aggregation),
                        "higher_is_better": .bool($0.isHigherBetter),
                    ]
                }),
            "output_type": .string(task.kind.rawValue), "repeats": 1, "description": "",
            "should_decontaminate": false, "unsafe_code": false,
            "metadata": ["version": Self.version(task)],
        ]
    }

    private var config: JSONValue {
        [
            "model": "retnet", "model_args": .string("pretrained=\(run.model)"),
            "model_num_parameters": .int(run.parameterCount),
            "model_dtype": .string("torch.\(run.elementType)"),
            "model_revision": "main", "model_sha": "",
            "batch_size": .null, "batch_sizes": [], "device": .string(run.device), "use_cache": .null,
            "limit": options.limit.map { .double(Double($0)) } ?? .null,
            "bootstrap_iters": .int(options.bootstrapIterations), "gen_kwargs": .null, "random_seed": 0,
            "numpy_seed": 1234, "torch_seed": 1234, "fewshot_seed": .int(Int(clamping: options.seed)),
        ]
    }

    private var own: JSONValue {
        [
            "version": .string(run.packageVersion), "engine": .string(run.engine),
            "tokenizer": .string(run.tokenizer), "form": run.form.map { .string($0) } ?? .null,
            "adds_begin_token": .bool(options.addsBeginToken),
            "complete": .bool(results.allSatisfy(\.isComplete)),
            "tasks": .object(results.map { ($0.task.name, Self.origin($0)) }),
        ]
    }

    private static func origin(_ result: TaskResult) -> JSONValue {
        [
            "data": .string(result.path),
            "examples": result.examplesPath.map { .string($0) } ?? .null,
            "complete": .bool(result.isComplete), "scored_before": .int(result.knownCount),
            "seconds": .double(result.seconds),
            "scoring_seconds": .double(result.cost.seconds),
            "scoring_processor_seconds": .double(result.cost.processorSeconds),
            "tokens": .int(result.cost.tokenCount),
            "padding_tokens": .int(result.cost.paddingCount),
            "scored_places": .int(result.cost.scoredCount),
            "tokens_from_scratch": .int(result.cost.separateTokenCount),
            "saving": .double(result.cost.saving),
        ]
    }

    /// SHA-256 of the checksums of all samples, one after the other.
    private static func checksum(_ result: TaskResult) -> JSONValue {
        let all = result.samples.map { sample in
            let parts = sample.checksums(result.task.kind)
            return parts.document + parts.prompt + parts.target
        }
        return .string(ContentDigest.sha256(all.joined()))
    }

    private static func version(_ task: EvaluationTask) -> JSONValue {
        Double(task.version).map { .double($0) } ?? .string(task.version)
    }

    private static func id(_ token: Int32?) -> JSONValue { token.map { .int(Int($0)) } ?? .null }

    private static func named(_ token: Int32?) -> JSONValue {
        [.null, .string(token.map { "\($0)" } ?? "None")]
    }

    /// Returns the name of a model as part of a path, as the harness makes it.
    public static func sanitized(_ name: String) -> String {
        var (result, wasReplaced) = ("", false)
        for scalar in name.unicodeScalars {
            let isReplaced = "\"<>:/|\\?*[]".unicodeScalars.contains(scalar)
            if !isReplaced { result.unicodeScalars.append(scalar) } else if !wasReplaced { result += "__" }
            wasReplaced = isReplaced
        }
        return result
    }

    // MARK: Files

    /// Writes `results_DATE.json`, and with `samples` a file of JSON lines per task, into `folder/MODEL`.
    ///
    /// Creates the folders. Returns the path of the results. Throws `StorageError`.
    @discardableResult public func write(to folder: String, samples: Bool) throws -> String {
        let folder = folder + "/" + Self.sanitized(run.model)
        do {
            try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        } catch {
            throw EvaluationError.cannotCreateFolder(path: folder, reason: error.localizedDescription)
        }
        let formatter = DateFormatter()
        formatter.locale = Locale(identifier: "en_US_POSIX")
        formatter.dateFormat = "yyyy-MM-dd'T'HH-mm-ss.SSSSSS"
        let date = formatter.string(from: run.end)
        for result in results where samples {
            let path = "\(folder)/samples_\(result.task.name)_\(date).jsonl"
            try AtomicFile.write(to: path) { sink in
                for (index, sample) in result.samples.enumerated() {
                    let line = sample.json(index: index, task: result.task, metrics: result.metrics)
                    try sink.write(line.text() + "\n")
                }
            }
        }
        let path = "\(folder)/results_\(date).json"
        try AtomicFile.write(Data(json(samples: samples).text(indent: 2).utf8), to: path)
        return path
    }
}
