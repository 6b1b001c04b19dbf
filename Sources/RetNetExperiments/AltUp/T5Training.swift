import Foundation
import RetNetEvaluation
import RetNetLayers
import RetNetModels
import RetNetReporting
import RetNetText
import RetNetTorch
import RetNetTraining

/// Pretrains one T5 with span corruption, scores it, and fine-tunes it on tasks, in memory.
struct T5Training {
    /// Mean length of a span in bytes, as in ByT5 (arXiv 2105.13626): bytes carry less information than pieces.
    static let meanSpanLength = 20

    /// Span corruption of bytes.
    static var corruption: SpanCorruption {
        get throws {
            let tokenizer = SentinelByteTokenizer()
            return try SpanCorruption(
                sentinels: tokenizer.sentinels, endToken: tokenizer.endToken ?? 1,
                meanSpanLength: Float(meanSpanLength))
        }
    }

    let context: ExperimentContext
    let settings: Settings
    /// The tasks of each fine-tuning.
    let groups: [[TuningTask]]
    /// Names of tasks whose files are missing.
    let missing: [String]
    private let training: TokenStream
    private let validation: TokenStream

    /// Creates a training; reads tasks from the folder of the texts, or generates one if there is no folder.
    init(context: ExperimentContext, settings: Settings) throws {
        self.context = context
        self.settings = settings
        training = try Self.stream(context.texts.training)
        validation = try Self.stream(context.texts.validation)
        var groups: [[TuningTask]] = []
        var missing: [String] = []
        if let tuning = settings.tuning {
            if let folder = context.texts.taskFolder {
                for group in tuning.groups {
                    var tasks: [TuningTask] = []
                    for task in group {
                        let found = try TuningTask(task, folder: folder, tuning: tuning)
                        if let found, !found.training.isEmpty, !found.test.isEmpty {
                            tasks.append(found)
                        } else {
                            missing.append(task.rawValue)
                        }
                    }
                    if !tasks.isEmpty { groups.append(tasks) }
                }
            } else {
                groups = [[TuningTask(generatedFor: tuning)]]
            }
        }
        self.groups = groups.filter { $0.allSatisfy { !$0.training.isEmpty && !$0.test.isEmpty } }
        self.missing = missing
    }

    /// All tasks.
    var tasks: [TuningTask] { groups.flatMap { $0 } }

    /// The tasks with their sizes, for the settings of an experiment.
    var taskText: String {
        tasks.isEmpty
            ? "none"
            : tasks.map { "\($0.name) \($0.size)/\($0.test.count)" }.joined(separator: ", ")
    }

    /// Converts a stream of bytes to the token ids of T5.
    private static func stream(_ bytes: TokenStream) throws -> TokenStream {
        let reader = ByteTokenizer()
        let texts = try (0..<bytes.documentCount).map { index in
            try reader.decode(bytes.tokens(in: bytes.range(ofDocument: index)))
        }
        return try TokenStream(texts: texts, tokenizer: SentinelByteTokenizer())
    }

    // MARK: Training

    /// Pretrains, fine-tunes and scores: returns `loss` and `accuracy` of masked spans, and the scores of tasks.
    ///
    /// The order of texts and examples and the spans depend on the seed only. `diverged` marks a model that diverges; its
    /// remaining scores are missing.
    func values(
        _ configuration: T5Configuration, seed: Int, learningRate: Double,
        _ progress: ExperimentUnit.Progress
    ) throws -> [String: Double] {
        let share = 1 / Double(1 + groups.count)
        var values: [String: Double] = [:]
        do {
            let (model, loss) = try pretrain(
                configuration, seed: seed, learningRate: learningRate, progress, share: share)
            values["training"] = loss
            values.merge(try spanScores(model)) { $1 }
            for (index, group) in groups.enumerated() {
                let scores = try tune(
                    model, group, seed: seed, progress, done: share * Double(index + 1), share: share)
                values.merge(scores) { $1 }
            }
        } catch TrainingError.diverged {
            values["diverged"] = 1
        }
        return values
    }

    private func pretrain(
        _ configuration: T5Configuration, seed: Int, learningRate: Double,
        _ progress: ExperimentUnit.Progress, share: Double
    ) throws -> (model: T5Model, finalLoss: Double) {
        let store = ParameterStore(source: .random(seed: UInt64(seed)), device: context.device)
        let model = try T5Model(configuration, parameters: store, computeType: context.computeType)
        let source = try TextToTextWindows(
            stream: training, objective: .spanCorruption(Self.corruption), rowCount: settings.batch,
            inputLength: settings.sourceLength, seed: UInt64(seed))
        let trainer = try Trainer(
            EncoderDecoderTask(model, source: source),
            settings.trainingConfiguration(learningRate: learningRate), dropoutSeed: UInt64(seed) ^ 0x5eed)
        let finalLoss = try trainer.finalLoss { step in
            try progress.report(
                "loss \(Format.fixed(step.loss, decimals: 3))",
                fraction: share * Double(step.step) / Double(trainer.stepCount))
        }
        try store.setRequiresGradient(false)
        return (model, finalLoss)
    }

    /// Returns loss and accuracy of masked spans of the validation text, which are the same for all models.
    private func spanScores(_ model: T5Model) throws -> [String: Double] {
        let windows = try TextToTextWindows(
            stream: validation, objective: .spanCorruption(Self.corruption), rowCount: 2 * settings.batch,
            inputLength: settings.sourceLength, seed: 7)
        let score = try model.score(windows.evaluationBatches(of: validation))
        let total = Double(max(1, score.targetCount))
        return ["loss": score.crossEntropy / total, "accuracy": Double(score.correctCount) / total]
    }

    // MARK: Fine-tuning

    /// Fine-tunes a copy of a model on a mixture of tasks and scores each task.
    private func tune(
        _ pretrained: T5Model, _ tasks: [TuningTask], seed: Int, _ progress: ExperimentUnit.Progress,
        done: Double, share: Double
    ) throws -> [String: Double] {
        guard let tuning = settings.tuning else { return [:] }
        var configuration = pretrained.configuration
        configuration.dropout = tuning.dropout
        let store = ParameterStore(
            source: .provided { name, _ in
                guard let tensor = pretrained.parameters[name] else {
                    throw ExperimentError.unusable("the pretrained model has no parameter '\(name)'")
                }
                return try tensor.detached().clone()
            }, device: context.device)
        let model = try T5Model(configuration, parameters: store, computeType: context.computeType)
        let tokenizer = SentinelByteTokenizer()
        let source = try TextToTextMixture(
            tasks: tasks.map { task in
                TextToTextMixture.Task(
                    name: task.name, examples: task.training.map { pair($0, tokenizer, tuning) })
            }, shares: TextToTextMixture.shares(sizes: tasks.map(\.size)), rowCount: tuning.batch,
            inputLength: tuning.sourceLength, targetLength: tuning.targetLength, isPacked: false,
            seed: UInt64(seed))
        let trainer = try Trainer(
            EncoderDecoderTask(model, source: source), tuning.trainingConfiguration,
            dropoutSeed: UInt64(seed) ^ 0xf17e)
        let names = tasks.map(\.title).joined(separator: ", ")
        try trainer.makeSteps { step in
            try progress.report(
                "\(names): loss \(Format.fixed(step.loss, decimals: 3))",
                fraction: done + 0.8 * share * Double(step.step) / Double(trainer.stepCount))
            return true
        }
        try store.setRequiresGradient(false)
        var values: [String: Double] = [:]
        var means: [Double] = []
        let evaluator = TaskEvaluator(
            model, tokenizer: tokenizer, inputLength: tuning.sourceLength, targetLength: tuning.targetLength,
            batchSize: 2 * tuning.batch)
        for task in tasks {
            try progress.report("scoring \(task.title)", fraction: done + 0.9 * share)
            let scores = try evaluator.evaluate(task.task, task.test).metrics
            for score in scores { values[task.key(score.name)] = score.value }
            means.append(scores.map(\.value).reduce(0, +) / Double(max(1, scores.count)))
        }
        if let group = tasks.first?.group {
            values["group \(group)"] = means.reduce(0, +) / Double(max(1, means.count))
        }
        return values
    }

    private func pair(
        _ example: TextToTextExample, _ tokenizer: SentinelByteTokenizer, _ tuning: Settings.Tuning
    ) -> EncodedExample {
        EncodedExample(
            source: tokenizer.encode(example.input), target: tokenizer.encode(example.target),
            endToken: tokenizer.endToken ?? 1, sourceLength: tuning.sourceLength,
            targetLength: tuning.targetLength)
    }
}

extension T5Training {
    /// The training settings shared by all contenders of a comparison.
    struct Settings {
        /// The settings of fine-tuning, which is done once per group of tasks.
        struct Tuning {
            var steps: Int
            var batch: Int
            var sourceLength: Int
            var targetLength: Int
            var learningRate: Double
            /// Micro-batches per step.
            var accumulation = 1
            var dropout = 0.1
            /// Largest number of test examples per task.
            var exampleLimit: Int
            /// The tasks of each fine-tuning.
            var groups: [[TextToTextTask]]

            /// The configuration of fine-tuning with Adafactor.
            var trainingConfiguration: TrainingConfiguration {
                var result = TrainingConfiguration()
                result.optimizer = .adafactor
                result.optimizer.learningRate = learningRate
                result.schedule.kind = .constant
                result.schedule.warmupStepCount = 0
                result.duration = .steps(steps)
                result.accumulationCount = accumulation
                return result
            }

            /// Number of drawn examples.
            var exampleCount: Int { steps * batch * accumulation }

            /// The settings in words, for the report.
            ///
            /// They identify the results in a folder: results with other words are refused.
            var text: String {
                "\(Format.grouped(steps)) steps of \(batch * accumulation) rows, sources to"
                    + " \(Format.grouped(sourceLength)) and targets to \(targetLength) bytes, constant learning rate"
                    + " \(learningRate), dropout \(dropout)"
            }
        }

        var steps: Int
        var batch: Int
        /// Tokens per source.
        var sourceLength: Int
        /// Micro-batches per step.
        var accumulation = 1
        /// The learning rate schedule: linear to zero, or inverse square root as in T5.
        var schedule: ScheduleConfiguration.Kind
        /// Steps of warm-up, or of constant rate before the inverse square root.
        var warmup: Int
        var tuning: Tuning?

        /// Lengths in tokens of uncorrupted text, source and target.
        var lengths: (piece: Int, source: Int, target: Int) {
            get throws {
                let (piece, target) = try T5Training.corruption.windowLength(inputLength: sourceLength)
                return (piece, sourceLength, target)
            }
        }

        /// The settings in words, for the report.
        ///
        /// They identify the results in a folder: results with other words are refused.
        var text: String {
            "\(Format.grouped(steps)) steps of \(batch * accumulation) x \(sourceLength) bytes, of which"
                + " 15 % are hidden in spans of \(T5Training.meanSpanLength) on average (ByT5's), Adafactor, learning rate"
                + " \(rule), z-loss 1e-4, no dropout"
        }

        private var rule: String {
            schedule == .linear
                ? "falling linearly to nothing after \(warmup) steps of warm-up"
                : "constant for \(Format.grouped(warmup)) steps and falling with their root afterwards"
        }

        /// Returns the configuration of pretraining with Adafactor.
        func trainingConfiguration(learningRate: Double) -> TrainingConfiguration {
            var result = TrainingConfiguration()
            result.optimizer = .adafactor
            result.optimizer.learningRate = learningRate
            result.schedule.kind = schedule
            result.schedule.warmupStepCount = warmup
            result.duration = .steps(steps)
            result.accumulationCount = accumulation
            return result
        }

        /// Returns FLOPs and tokens of pretraining and fine-tuning of one model.
        func work(_ accounting: T5Accounting) throws -> (flops: Double, tokens: Double) {
            let lengths = try lengths
            let rows = Double(steps * batch * accumulation)
            var flops =
                rows
                * Double(
                    accounting.trainingFLOPs(sourceLength: lengths.source, targetLength: lengths.target))
            var tokens = rows * Double(lengths.source + lengths.target)
            if let tuning {
                let rows = Double(tuning.steps * tuning.batch * tuning.accumulation * tuning.groups.count)
                flops +=
                    rows
                    * Double(
                        accounting.trainingFLOPs(
                            sourceLength: tuning.sourceLength, targetLength: tuning.targetLength))
                tokens += rows * Double(tuning.sourceLength + tuning.targetLength)
            }
            return (flops, tokens)
        }
    }
}
