import Foundation
import RetNetCheckpoints
import RetNetDistributed
import RetNetEvaluation
import RetNetGeneration
import RetNetLayers
import RetNetModels
import RetNetSettings
import RetNetText
import RetNetTorch

/// A T5 that learns to write targets for sources: from text by an objective, or from text-to-text tasks.
///
/// The loss is the mean over all counted targets of a step of cross entropy and, as in T5X, `zLoss` times the squared
/// log-normalizer. Adafactor is insensitive to the mean, which T5X leaves out. Losses that experts add are means over
/// the tokens of a pass and count by its targets.
public final class EncoderDecoderTask: TrainingTask {
    /// Model, data and loss of a run.
    public struct Configuration: TaskConfiguration {
        /// Architecture, as a preset or a folder's model with changes, or written out.
        public var model: T5Configuration
        /// Folder whose weights the run starts from; nil draws new ones.
        public var initialModel: String?
        /// Text or tasks.
        public var data = TextToTextDataConfiguration()
        /// Weight of the squared log-normalizer.
        public var zLoss = T5Model.standardZLoss

        /// The given model without any data, with the defaults.
        public init(model: T5Configuration) { self.model = model }
    }

    /// The model in training.
    public let model: T5Model
    /// Weight of the z-loss; 0 leaves it out.
    public let zLoss: Double

    private var source: any TextToTextSource
    private let measurement: Measurement?

    /// The parts that only a run in a folder has.
    private struct Measurement {
        let validation: [() throws -> TextToTextBatch]
        let tokenizer: any Tokenizer
        let monitoring: MonitoringConfiguration
    }

    /// A task on given pairs of token rows, for steps without a folder.
    public convenience init(
        _ model: T5Model, source: any TextToTextSource, zLoss: Double = T5Model.standardZLoss
    ) {
        self.init(model, source: source, zLoss: zLoss, measurement: nil)
    }

    private init(
        _ model: T5Model, source: any TextToTextSource, zLoss: Double, measurement: Measurement?
    ) {
        self.model = model
        self.source = source
        self.zLoss = zLoss
        self.measurement = measurement
    }

    // MARK: Steps

    /// The parameters of the model.
    public var parameters: ParameterStore { model.parameters }
    /// Targets that a pass has room for.
    public var tokensPerPass: Int { source.targetsPerBatch }

    /// Returns the steps, not rounded, of the given number of passes over the data.
    public func stepCount(epochs: Double, passesPerStep: Int) throws -> Double {
        epochs * source.batchesPerEpoch / Double(passesPerStep)
    }

    /// Runs the next batches forward and backward.
    public func accumulateGradients(_ passes: StepPasses) throws -> StepLoss {
        let batches = try (0..<passes.count).map { _ in try source.next() }
        let targetCount = batches.reduce(0) { $0 + $1.targetCount }
        let scale = 1 / Double(max(1, targetCount))
        var totals: [Tensor] = []
        var auxiliary: [String: Double] = [:]
        let parts = passes.share.parts(batches, keepsRows: false) { $0.rows($1.rows(of: $0.rowCount)) }
        for (index, batch) in parts.enumerated() {
            let losses = AuxiliaryLosses()
            let context = ForwardContext(
                isTraining: true, generator: passes.generator, auxiliaryLosses: losses)
            let loss = try model.lossSum(
                T5Batch(batch, configuration: model.configuration, device: model.device), zLoss: zLoss,
                countsCorrect: true, context: context)
            let share = Double(batch.targetCount) * scale
            let objective = try losses.total().map { try loss.sum * scale + $0 * share } ?? loss.sum * scale
            if index == parts.count - 1 { passes.beforeLastBackward() }
            try objective.backward()
            for (name, value) in try losses.summary() { auxiliary[name, default: 0] += value * share }
            let figures =
                [loss.crossEntropy, try loss.sum.detached()] + (loss.correctCount.map { [$0] } ?? [])
            totals.append(try Tensor.stacked(figures, axis: 0))
        }
        // Read once per step: every number that is read waits for the device.
        let sums = try Tensor.stacked(totals, axis: 0).sum([0]).doubles()
        if zLoss > 0 { auxiliary["z_loss"] = (sums[1] - sums[0]) * scale }
        return StepLoss(
            mean: sums[0] * scale, targetCount: targetCount,
            accuracy: sums.count > 2 ? sums[2] * scale : nil, auxiliary: auxiliary)
    }

    // MARK: State

    /// The place in the data.
    public var dataState: BatchSourceState { source.state }

    /// Moves to a saved place in the data; throws `TextError.stateMismatch`.
    public func restoreData(_ state: BatchSourceState) throws { try source.restore(state) }

    // MARK: Runs in a folder

    /// Reads text or tasks, and makes the model or loads the initial one or that of a checkpoint.
    public convenience init(
        _ configuration: RunConfiguration<EncoderDecoderTask>, tokenizer: any Tokenizer, checkpoint: String?,
        device: Device, replicas: Replicas? = nil
    ) throws {
        let data = try TextToTextData(configuration, tokenizer: tokenizer)
        self.init(
            try Self.makeModel(configuration, tokenizer, checkpoint: checkpoint, device: device),
            source: data.source,
            zLoss: configuration.task.zLoss,
            measurement: Measurement(
                validation: data.validation, tokenizer: tokenizer,
                monitoring: configuration.training.monitoring))
    }

    private static func makeModel(
        _ configuration: RunConfiguration<EncoderDecoderTask>, _ tokenizer: any Tokenizer,
        checkpoint: String?, device: Device
    ) throws -> T5Model {
        let type = configuration.training.precision.elementType(on: device)
        let own = configuration.task.model
        if let checkpoint {
            let model = try T5Folder.load(
                checkpoint, elementType: .float32, device: device, computeType: type
            ).model
            guard model.configuration == own else {
                throw TrainingError.checkpointMismatch(
                    path: checkpoint, reason: "its config.json describes another model than config.yaml")
            }
            return model
        }
        guard let initial = configuration.task.initialModel else {
            let store = ParameterStore(source: .random(seed: configuration.training.seed), device: device)
            return try withoutGradients { try T5Model(own, parameters: store, computeType: type) }
        }
        let loaded = try T5Folder.load(
            RunFolder.modelPath(for: initial), elementType: .float32, device: device, computeType: type,
            dropout: own.dropout)
        // The rows of the embedding stand for the tokens of the folder's tokenizer, if it has one.
        if let known = try? loaded.tokenizer, known.identity != tokenizer.identity {
            throw TrainingError.unsuitableTokenizer(
                reason: "the initial model in '\(initial)' was made with '\(known.identity)', not with "
                    + "'\(tokenizer.identity)': leave data.tokenizer out")
        }
        let model = loaded.model
        guard model.configuration == own else { throw TrainingError.otherInitialModel(path: initial) }
        return model
    }

    /// Measures the validation batches, with the true tokens before each target.
    public func validate(step: Int) throws -> ValidationRecord? {
        guard let batches = measurement?.validation, !batches.isEmpty else { return nil }
        let score = try model.score(batches)
        let loss = score.crossEntropy / Double(max(1, score.targetCount))
        return ValidationRecord(
            step: step, loss: loss, perplexity: exp(loss), bitsPerByte: nil,
            accuracy: Double(score.correctCount) / Double(max(1, score.targetCount)),
            tokenCount: score.targetCount)
    }

    /// Writes the target of the prompt of samples, below the prompt.
    public func sample() throws -> String? {
        guard let measurement else { return nil }
        let end = Int32(clamping: model.configuration.endToken)
        let prompt = measurement.monitoring.samplePrompt
        // Prompts and outputs may hold sentinels, which are written by name.
        let (tokenizer, sentinels) = (measurement.tokenizer, measurement.tokenizer as? any SentinelTokenizer)
        let source = sentinels?.encodeWithSentinels(prompt) ?? tokenizer.encode(prompt)
        let outputs = try T5Generator(model).generate(
            [source + [end]], BeamSearchParameters(maxTokens: measurement.monitoring.sampleTokenCount))
        let tokens = (outputs.first?.first?.tokens ?? []).filter { $0 != end }
        return prompt + "\n" + (sentinels?.decodeWithSentinels(tokens) ?? tokenizer.decode(tokens))
    }

    /// Writes the files of a model folder.
    public func writeModel(into folder: String, whole: [String: Tensor] = [:]) throws {
        try T5Folder.write(model, tokenizer: measurement?.tokenizer, into: folder)
    }
}

// MARK: Configuration

extension EncoderDecoderTask.Configuration {
    /// The smallest preset without any data.
    public static var standard: Self { Self(model: T5Preset.all[0].configuration) }

    /// `model`, `initial_model`, `data` and `z_loss`.
    public static var declarations: [Setting<Self>] {
        [
            .model(\.model, "Architecture: a preset or the initial model with changes, or written out."),
            .string("initial_model", \.initialModel, "Folder whose weights the run starts from."),
            .object("data", \.data),
            .double(
                "z_loss", \.zLoss, in: SettingsRange.nonNegative, "Weight of the squared log-normalizer."),
        ]
    }

    /// `initial_model`.
    public static var changeableKeys: [String] { ["initial_model"] }

    /// Refuses axes other than data: layers and sequences of a T5 are whole on every rank.
    public func refusal(of mesh: MeshRequest) -> String? {
        for axis in [MeshShape.Axis.sequence, .tensor] where (mesh[axis] ?? 1) > 1 {
            return
                "an encoder-decoder has to be whole on every rank, so the axis '\(axis.rawValue)' can have one rank only"
        }
        return nil
    }

    /// Returns the architecture of `model.preset`, or of the model in the folder `initial_model`.
    public static func baseModel(of document: SettingsDocument) throws -> SettingsTree? {
        // Where the architecture is written out, as runs write it, the folder may be gone.
        let isComplete = document.tree.value(at: "model.vocabulary_size") != nil
        let preset = document.tree.value(at: "model.preset") ?? .null
        let folder = document.tree.value(at: "initial_model") ?? .null
        if folder != .null, preset == .null, !isComplete {
            let path = try RunFolder.modelPath(for: folder.string ?? folder.summary)
            return try T5Folder.configuration(of: path).settings
        }
        return try Self.preset(of: document) { try T5Preset.named($0) }?.configuration.settings
    }

    /// Returns T5X's settings of pretraining, or those of fine-tuning where the document has tasks.
    public static func defaults(for document: SettingsDocument) throws -> (
        task: Self, training: TrainingConfiguration
    ) {
        let hasTasks = !(document.tree.value(at: "data.tasks")?.array ?? []).isEmpty
        var training = training(hasTasks: hasTasks)
        training.schedule.warmupShare = ScheduleConfiguration.defaultWarmupShare
        return (standard, training)
    }

    /// Adafactor at 0.01 for 10,000 steps and then falling with the root of the step, or for tasks a constant 0.001.
    ///
    /// No samples are generated.
    static func training(hasTasks: Bool) -> TrainingConfiguration {
        var training = TrainingConfiguration()
        training.optimizer = .adafactor
        training.schedule.kind = .inverseSquareRoot
        training.schedule.warmupStepCount = 10_000
        training.monitoring.sampleInterval = 0
        if hasTasks {
            training.optimizer.learningRate = 1e-3
            training.schedule.kind = .constant
            training.schedule.warmupStepCount = 0
        }
        return training
    }

    /// Files and folders of the data without those of tasks.
    public var textPaths: [String] { data.paths + data.validationPaths }
    /// The name of the data's tokenizer.
    public var tokenizerName: String? { data.tokenizer }
    /// T5's hundred.
    public var sentinelCount: Int { SentencePieceTokenizer.usualSentinelCount }

    /// Those of T5: padding, end and sentinels.
    public var specialTokens: SpecialTokenLayout { .textToText() }

    /// Passes on the text without what is held out, or the inputs and targets of the training examples of tasks.
    public func readTrainingText(into trainer: TokenizerTrainer, seed: UInt64) throws {
        if let initialModel {
            throw TrainingError.unsuitableTokenizer(
                reason:
                    "the initial model in '\(initialModel)' has one already, and its embedding belongs to that: leave "
                    + "data.tokenizer out")
        }
        guard data.hasTasks else {
            return try TextData.readTrainingText(
                paths: data.paths, separator: data.separator, validationPaths: data.validationPaths,
                validationFraction: data.validationFraction, seed: seed, into: trainer)
        }
        for task in data.tasks {
            for example in try TextToTextFile.examples(task.task, path: task.path) {
                trainer.read(example.input)
                trainer.read(example.target)
            }
        }
    }

    /// Returns the tokenizer of the initial model, or that of bytes with sentinels.
    public func standardTokenizer() throws -> any Tokenizer {
        guard let initialModel else { return SentinelByteTokenizer() }
        return try TokenizerLoader.load(folder: RunFolder.modelPath(for: initialModel))
    }

    /// Returns the configuration with absolute paths.
    public func resolved() throws -> Self {
        try model.validate()
        var result = self
        result.data = data.withAbsolutePaths()
        result.initialModel = initialModel?.absolutePath
        return result
    }
}

extension RunConfiguration where Task == EncoderDecoderTask {
    /// A run of the given model without any data, with T5X's settings of pretraining.
    public init(model: T5Configuration) {
        self.init(
            task: EncoderDecoderTask.Configuration(model: model),
            training: EncoderDecoderTask.Configuration.training(hasTasks: false))
    }
}

// MARK: Batches of token rows

extension T5Batch {
    /// The tensors of a batch of token rows; throws `T5Error` and `TorchError`.
    public init(_ batch: TextToTextBatch, configuration: T5Configuration, device: Device = .cpu) throws {
        try self.init(
            sources: batch.sources, sourceSegments: batch.sourceSegments, targets: batch.targets,
            targetSegments: batch.targetSegments, configuration: configuration, device: device,
            sourceAlignment: configuration.altUp?.sequence?.stride ?? 1)
    }
}

extension T5Model {
    /// Returns teacher-forced figures over batches, without gradients.
    public func score(_ batches: [() throws -> TextToTextBatch]) throws -> T5Score {
        var sum = T5Score()
        for batch in batches {
            let score = try score(T5Batch(batch(), configuration: configuration, device: device))
            sum.crossEntropy += score.crossEntropy
            sum.correctCount += score.correctCount
            sum.targetCount += score.targetCount
        }
        return sum
    }
}
