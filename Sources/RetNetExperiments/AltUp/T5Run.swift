import Foundation
import RetNetEvaluation
import RetNetLayers
import RetNetModels
import RetNetReporting
import RetNetText
import RetNetTorch
import RetNetTraining

/// Pretrains one T5 with span corruption, scores it, and fine-tunes it on tasks, all in memory.
struct T5Run {
    /// Hidden bytes that lie together: as many as ByT5 hides (arXiv 2105.13626), for bytes say less than pieces.
    static let meanSpanLength = 20

    /// T5's corruption over bytes.
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
    /// The tasks of every fine-tuning.
    let groups: [[TuningTask]]
    /// Titles of tasks whose files are not there.
    let missing: [String]
    private let training: TokenStream
    private let validation: TokenStream

    /// Reads tasks from the folder of the texts; a generated one where there is none.
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

    /// The tasks with their sizes, for telling folders apart.
    var taskText: String {
        tasks.isEmpty
            ? "none"
            : tasks.map { "\($0.name) \($0.size)/\($0.test.count)" }.joined(separator: ", ")
    }

    /// A text of bytes with T5's numbers for them.
    private static func stream(_ bytes: TokenStream) throws -> TokenStream {
        let reader = ByteTokenizer()
        let texts = try (0..<bytes.documentCount).map { index in
            try reader.decode(bytes.tokens(in: bytes.range(ofDocument: index)))
        }
        return try TokenStream(texts: texts, tokenizer: SentinelByteTokenizer())
    }

    // MARK: Running

    /// Pretrains and scores, then fine-tunes and scores: `loss` and `accuracy` of hidden spans, and those of tasks.
    ///
    /// The order of texts and examples and the spans depend on the seed alone. A model that diverges has no scores but
    /// `diverged`.
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
        let source = try ObjectiveWindows(
            stream: training, objective: .spanCorruption(Self.corruption), rowCount: settings.batch,
            inputLength: settings.sourceLength, seed: UInt64(seed))
        var options = TrainingConfiguration()
        options.optimizer = settings.optimizer(learningRate: learningRate)
        options.schedule.kind = settings.schedule
        options.schedule.warmupStepCount = settings.warmup
        options.duration = .steps(settings.steps)
        options.accumulationCount = settings.accumulation
        let trainer = try Trainer(
            EncoderDecoderTask(model, source: source), options, dropoutSeed: UInt64(seed) ^ 0x5eed)
        var losses: [Double] = []
        for step in 1...settings.steps {
            let result = try trainer.makeStep()
            losses.append(result.loss)
            try progress.report(
                "loss \(Format.fixed(result.loss, decimals: 3))",
                fraction: share * Double(step) / Double(settings.steps))
        }
        try store.setRequiresGradient(false)
        let tail = losses.suffix(max(1, losses.count / 10))
        return (model, tail.reduce(0, +) / Double(tail.count))
    }

    /// Loss and accuracy of hidden spans of the validation text, the same spans for all models.
    private func spanScores(_ model: T5Model) throws -> [String: Double] {
        let windows = try ObjectiveWindows(
            stream: validation, objective: .spanCorruption(Self.corruption), rowCount: 2 * settings.batch,
            inputLength: settings.sourceLength, seed: 7)
        let score = try model.score(windows.evaluationBatches(of: validation))
        let total = Double(max(1, score.targetCount))
        return ["loss": score.crossEntropy / total, "accuracy": Double(score.correctCount) / total]
    }

    // MARK: Fine-tuning

    /// Fine-tunes a copy of a model on a mixture of tasks, and scores each.
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
            sets: tasks.map { task in
                TextToTextSet(name: task.name, examples: task.training.map { pair($0, tokenizer, tuning) })
            }, shares: MixtureRates.shares(sizes: tasks.map(\.size)), rowCount: tuning.batch,
            inputLength: tuning.sourceLength, targetLength: tuning.targetLength, isPacked: false,
            seed: UInt64(seed))
        var options = TrainingConfiguration()
        options.optimizer = settings.optimizer(learningRate: tuning.learningRate)
        options.schedule.kind = .constant
        options.schedule.warmupStepCount = 0
        options.duration = .steps(tuning.steps)
        options.accumulationCount = tuning.accumulation
        let trainer = try Trainer(
            EncoderDecoderTask(model, source: source), options, dropoutSeed: UInt64(seed) ^ 0xf17e)
        let names = tasks.map(\.title).joined(separator: ", ")
        for step in 1...tuning.steps {
            let result = try trainer.makeStep()
            try progress.report(
                "\(names): loss \(Format.fixed(result.loss, decimals: 3))",
                fraction: done + 0.8 * share * Double(step) / Double(tuning.steps))
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
    ) -> TokenPair {
        TokenPair(
            source: tokenizer.encode(example.input), target: tokenizer.encode(example.target),
            endToken: tokenizer.endToken ?? 1, sourceLength: tuning.sourceLength,
            targetLength: tuning.targetLength)
    }
}
