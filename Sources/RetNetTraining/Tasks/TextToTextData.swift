import RetNetCheckpoints
import RetNetEvaluation
import RetNetModels
import RetNetSettings
import RetNetText

/// The data of an encoder-decoder and its rows: `data` in a run's configuration.
///
/// Either text with an objective, or text-to-text tasks.
public struct TextToTextDataConfiguration: DeclaredSettings, Sendable, Equatable {
    /// The conversion of pieces of text into examples.
    public enum Objective: String, Sendable, CaseIterable {
        /// Sentinels replace random spans; the target holds the spans.
        case spanCorruption = "span_corruption"
        /// The source is a piece up to a random place, the target the rest of it.
        case prefixLanguageModel = "prefix_lm"
        /// The target is the piece, and the source is empty.
        case languageModel = "lm"
    }

    /// A text-to-text task with its files: one of `data.tasks`.
    public struct TaskFiles: DeclaredSettings, Sendable, Equatable {
        /// Task, as in `sst2`.
        public var task: TextToTextTask
        /// Examples to train on, one JSON object per line, plain or compressed.
        public var path: String
        /// Examples that are never trained on; nil where there are none.
        public var validationPath: String?

        /// A task with its files.
        public init(task: TextToTextTask, path: String, validationPath: String? = nil) {
            self.task = task
            self.path = path
            self.validationPath = validationPath
        }

        /// A task without a file.
        public static let standard = TaskFiles(task: .sst2, path: "")

        /// `task`, `path` and `validation`.
        public static var declarations: [Setting<Self>] {
            [
                .choice("task", \.task, isRequired: true, "Task."),
                .string("path", \.path, isRequired: true, "Examples to train on, one JSON object per line."),
                .string("validation", \.validationPath, "Examples that are never trained on."),
            ]
        }
    }

    /// Conversion of text into examples.
    public var objective = Objective.spanCorruption
    /// Share of tokens that span corruption removes.
    public var noiseDensity = 0.15
    /// Mean tokens per removed span.
    public var meanSpanLength = 3.0
    /// Files or folders of text, plain, compressed (`.gz`) or token files.
    public var paths: [String] = []
    /// Separator of the documents in a file.
    public var separator = DocumentSeparator.wholeFile
    /// Text that is never trained on; without any, a part of the training text is held out.
    public var validationPaths: [String] = []
    /// Share of the training text that is held out.
    public var validationFraction = 0.01

    /// Text-to-text tasks to train on instead of text.
    public var tasks: [TaskFiles] = []
    /// Examples that a larger task counts as when tasks are mixed; nil for no limit.
    public var sizeLimit: Int?
    /// Temperature of the mixing shares: 1 draws by size, higher values bring the shares closer together.
    public var temperature = 1.0
    /// True if a row of tasks holds as many examples as fit into it.
    public var isPacked = true
    /// Target tokens of a row of tasks; with text it follows from the input length.
    public var targetLength = 64

    /// `byte`, `byte-sentinel`, a file or folder of a tokenizer, or a recipe to train one; nil for that of the initial
    /// model, or bytes with sentinels.
    public var tokenizer: String?
    /// Source tokens of a row.
    public var inputLength = 512
    /// Rows of one pass.
    public var batchSize = 8

    /// The defaults, without any data.
    public init() {}

    /// The defaults, without any data.
    public static let standard = TextToTextDataConfiguration()

    /// True if the data are tasks, not text.
    public var hasTasks: Bool { !tasks.isEmpty }

    /// All settings of `data`: those of both kinds, then those of tasks, then those of text.
    public static var declarations: [Setting<Self>] { common + ofTasks + ofText }

    private static var common: [Setting<Self>] {
        let tasks = Setting<Self>.objects("tasks", \.tasks)
        return [
            // Read first, since the other settings depend on it; text has no list of tasks.
            tasks.writtenWhen { $0.hasTasks },
            .string(
                "tokenizer", \.tokenizer,
                "`byte`, `byte-sentinel`, a file or folder of a tokenizer, or `train:bpe:N` or `train:unigram:N` to train"
                    + " one of N tokens on the training text. By default that of the initial model, or bytes with"
                    + " sentinels."),
            .int("input_length", \.inputLength, in: 3...1 << 20, "Source tokens of a row."),
            .int("batch_size", \.batchSize, in: 1...1 << 20, "Rows of one pass."),
        ]
    }

    private static var ofTasks: [Setting<Self>] {
        let settings: [Setting<Self>] = [
            .int(
                "size_limit", \.sizeLimit, in: 1...Int.max,
                "Examples that a larger task counts as when tasks are mixed."),
            .double(
                "temperature", \.temperature, in: 0.01...1e6,
                "1 draws tasks by size; higher values bring their shares closer together."),
            .bool("packing", \.isPacked, "Rows hold as many examples as fit into them."),
            .int("target_length", \.targetLength, in: 1...1 << 20, "Target tokens of a row."),
        ]
        return settings.map {
            $0.when("tasks", { $0.hasTasks }, otherwise: "it is for data.tasks, of which there are none")
        }
    }

    private static var ofText: [Setting<Self>] {
        let refusal = "it is for text; with data.tasks the tasks decide what is learned"
        let text: [Setting<Self>] =
            [.choice("objective", \.objective, "Conversion of text into sources and targets.")]
            + [.strings("paths", \.paths, "Text to train on: files or folders, plain, gzip or token files.")]
            + Setting.heldOutText(\.separator, \.validationPaths, \.validationFraction)
        let spans: [Setting<Self>] = [
            .double(
                "noise_density", \.noiseDensity, in: 0.001...0.999,
                "Share of tokens that span corruption removes."),
            .double("mean_span_length", \.meanSpanLength, in: 1...1e6, "Mean tokens per removed span."),
        ]
        return text.map { $0.when("text", { !$0.hasTasks }, otherwise: refusal) }
            + spans.map {
                $0.when(
                    "objective: span_corruption", { !$0.hasTasks && $0.objective == .spanCorruption },
                    otherwise: "only the objective 'span_corruption' on text removes spans")
            }
    }

    /// The same with absolute paths.
    func withAbsolutePaths() -> TextToTextDataConfiguration {
        var result = self
        result.paths = paths.map(\.absolutePath)
        result.tokenizer = tokenizer?.absolutePathOfFile
        result.validationPaths = validationPaths.map(\.absolutePath)
        for index in tasks.indices {
            result.tasks[index].path = tasks[index].path.absolutePath
            result.tasks[index].validationPath = tasks[index].validationPath?.absolutePath
        }
        return result
    }
}

/// The batches that an encoder-decoder is trained on, and those that it is validated on.
struct TextToTextData {
    let source: any TextToTextSource
    /// Batches that are never trained on, always the same.
    let validation: [() throws -> TextToTextBatch]

    /// Reads text or tasks; throws `TextError`, `StorageError`, `EvaluationError` or ``TrainingError``.
    init(_ configuration: RunConfiguration<EncoderDecoderTask>, tokenizer: any Tokenizer) throws {
        try Self.check(tokenizer, configuration.task.model)
        (source, validation) =
            configuration.task.data.hasTasks
            ? try Self.tasks(configuration, tokenizer) : try Self.text(configuration, tokenizer)
    }

    /// Throws unless tokenizer and model agree on the numbers of the tokens.
    static func check(_ tokenizer: any Tokenizer, _ model: T5Configuration) throws {
        guard tokenizer.vocabularySize <= model.vocabularySize else {
            throw TrainingError.vocabularyTooSmall(
                modelSize: model.vocabularySize, tokenizerSize: tokenizer.vocabularySize)
        }
        let problems = model.specialTokenProblems(with: tokenizer)
        guard problems.isEmpty else {
            throw TrainingError.unsuitableTokenizer(
                reason: problems.map(\.description).joined(separator: "; "))
        }
    }

    private static func text(
        _ configuration: RunConfiguration<EncoderDecoderTask>, _ tokenizer: any Tokenizer
    ) throws -> (any TextToTextSource, [() throws -> TextToTextBatch]) {
        let (own, seed) = (configuration.task.data, configuration.training.seed)
        let data = try TextData(
            paths: own.paths, separator: own.separator, validationPaths: own.validationPaths,
            validationFraction: own.validationFraction, tokenizer: tokenizer, seed: seed,
            countsBytes: configuration.task.tokenizerRecipe() != nil)
        let source = try TextToTextWindows(
            stream: data.training, objective: objective(own, configuration.task.model, tokenizer),
            rowCount: own.batchSize, inputLength: own.inputLength, seed: seed)
        let limit = configuration.training.monitoring.evaluationBatchCount
        return (source, data.validation.map { source.evaluationBatches(of: $0, limit: limit) } ?? [])
    }

    private static func objective(
        _ data: TextToTextDataConfiguration, _ model: T5Configuration, _ tokenizer: any Tokenizer
    ) throws -> TextToTextObjective {
        let end = Int32(clamping: model.endToken)
        switch data.objective {
        case .prefixLanguageModel: return .prefixLanguageModel(endToken: end)
        case .languageModel: return .languageModel(endToken: end)
        case .spanCorruption:
            guard let tokenizer = tokenizer as? any SentinelTokenizer else {
                throw TrainingError.unsuitableTokenizer(
                    reason:
                        "span corruption needs sentinels, and it has none; set data.objective to prefix_lm")
            }
            return .spanCorruption(
                try SpanCorruption(
                    sentinels: tokenizer.sentinels, endToken: end, noiseDensity: Float(data.noiseDensity),
                    meanSpanLength: Float(data.meanSpanLength)))
        }
    }

    private static func tasks(
        _ configuration: RunConfiguration<EncoderDecoderTask>, _ tokenizer: any Tokenizer
    ) throws -> (any TextToTextSource, [() throws -> TextToTextBatch]) {
        let (own, model) = (configuration.task.data, configuration.task.model)
        func pairs(_ task: TextToTextTask, _ path: String) throws -> [EncodedExample] {
            try TextToTextFile.examples(task, path: path).map {
                EncodedExample(
                    source: tokenizer.encode($0.input), target: tokenizer.encode($0.target),
                    endToken: Int32(clamping: model.endToken), sourceLength: own.inputLength,
                    targetLength: own.targetLength)
            }
        }
        let tasks = try own.tasks.map {
            TextToTextMixture.Task(name: $0.task.rawValue, examples: try pairs($0.task, $0.path))
        }
        let source = try TextToTextMixture(
            tasks: tasks,
            shares: TextToTextMixture.shares(
                sizes: tasks.map(\.examples.count), limit: own.sizeLimit, temperature: own.temperature),
            rowCount: own.batchSize, inputLength: own.inputLength, targetLength: own.targetLength,
            isPacked: own.isPacked, alignment: model.altUp?.sequence?.stride ?? 1,
            seed: configuration.training.seed)
        let limit = configuration.training.monitoring.evaluationBatchCount
        let validation = try own.tasks.flatMap { task in
            guard let path = task.validationPath else { return [TextToTextBatch]() }
            let examples = try pairs(task.task, path)
            return stride(from: 0, to: examples.count, by: own.batchSize).prefix(limit).map {
                TextToTextBatch(Array(examples[$0..<min($0 + own.batchSize, examples.count)]))
            }
        }
        return (source, validation.map { batch in { batch } })
    }
}
