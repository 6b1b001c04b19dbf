import Foundation
import RetNetCheckpoints
import RetNetDistributed
import RetNetEvaluation
import RetNetGeneration
import RetNetLayers
import RetNetMixers
import RetNetModels
import RetNetSettings
import RetNetText
import RetNetTorch

/// A language model that learns the next token of a text.
public final class LanguageModelTask: TrainingTask {
    /// Model, text and form of a run.
    public struct Configuration: TaskConfiguration {
        /// Architecture, as a preset with changes or written out.
        public var model: LanguageModelConfiguration
        /// Text and its batches.
        public var data = TextDataConfiguration()
        /// Form of training passes; nil, or `auto`, is the one in which the model is fastest.
        public var form: MixerForm?
        /// True if blocks keep only their inputs for the backward pass.
        ///
        /// Memory then hardly grows with depth, for about a third more time; meant for long sequences.
        public var recomputesActivations = false

        /// The given model without any text, with the defaults.
        public init(model: LanguageModelConfiguration) { self.model = model }
    }

    /// The model in training.
    public let model: LanguageModel
    /// The state after the last window of every row, in contiguous mode.
    public private(set) var carriedState: LanguageModelState?

    private var source: any BatchSource
    private let form: MixerForm
    /// True if rows of a batch continue those of the one before.
    public let carriesState: Bool
    /// The carried state of all ranks, between gathering and writing it.
    private var gatheredState: LanguageModelState?
    private let tokensPerEpoch: Int?
    private let measurement: Measurement?
    private static let stateFileName = "carried_state.safetensors"

    /// The parts that only a run in a folder has.
    private struct Measurement {
        let configuration: RunConfiguration<LanguageModelTask>
        let validation: TokenStream?
        let tokenizer: any Tokenizer
        let warnings: [String]
    }

    /// A task on given batches, for steps without a folder.
    ///
    /// With `carriesState`, each batch continues from the state of the one before. `tokensPerEpoch` is needed only for
    /// durations in epochs. Throws `MixerError` when the model lacks the form.
    public convenience init(
        _ model: LanguageModel, source: any BatchSource, form: MixerForm = .parallel,
        carriesState: Bool = false, tokensPerEpoch: Int? = nil
    ) throws {
        try self.init(
            model, source: source, form: form, carriesState: carriesState, tokensPerEpoch: tokensPerEpoch,
            measurement: nil)
    }

    private init(
        _ model: LanguageModel, source: any BatchSource, form: MixerForm, carriesState: Bool,
        tokensPerEpoch: Int?, measurement: Measurement?
    ) throws {
        if let reason = model.unsupportedReason(for: form) {
            throw MixerError.unsupportedForm(mixer: "the model", form: form, reason: reason)
        }
        self.model = model
        self.source = source
        self.form = form
        self.carriesState = carriesState
        self.tokensPerEpoch = tokensPerEpoch
        self.measurement = measurement
    }

    // MARK: Steps

    /// The parameters of the model.
    public var parameters: ParameterStore { model.parameters }
    /// Inputs of one pass, padding included.
    public var tokensPerPass: Int { source.tokensPerBatch }

    /// Returns the steps, not rounded, of the given number of passes over the text.
    public func stepCount(epochs: Double, passesPerStep: Int) throws -> Double {
        guard let tokensPerEpoch else { throw TrainingError.unknownEpochLength }
        let (perStep, overflows) = tokensPerPass.multipliedReportingOverflow(by: passesPerStep)
        return epochs * Double(tokensPerEpoch) / Double(overflows ? Int.max : max(1, perStep))
    }

    /// Runs the next batches forward and backward.
    public func accumulateGradients(_ passes: StepPasses) throws -> StepLoss {
        let batches = try (0..<passes.count).map { _ in try source.next() }
        let targetCount = batches.reduce(0) { $0 + $1.targetCount }
        let byteCount = batches.reduce(Int?.some(0)) { sum, batch in
            sum.flatMap { sum in batch.targetByteCount.map { sum + $0 } }
        }
        let scale = 1 / Double(max(1, targetCount))
        var total: Tensor?
        var auxiliary: [String: Double] = [:]
        let parts = passes.share.parts(batches, keepsRows: carriesState) { $0.rows($1.rows(of: $0.rowCount)) }
        for (index, whole) in parts.enumerated() {
            let before = try stateBefore(whole)
            let part = try passes.part(ofSequencesOf: whole.length)
            let batch = part.map { whole.positions($0.range) } ?? whole
            let shape = [batch.rowCount, batch.length]
            let tokens = try Tensor.from(batch.tokens, shape).to(.int64, on: model.device)
            let targets = try Tensor.from(batch.targets, shape).to(.int64, on: model.device)
            let losses = AuxiliaryLosses()
            var context = ForwardContext(
                isTraining: true, generator: passes.generator, auxiliaryLosses: losses)
            context.keepsStates = carriesState
            context.sequence = part
            let (sum, next) = try model.lossSum(
                tokens, targets: targets, state: before, form: form, context: context)
            // Terms are means over the tokens of a pass, so passes count by their targets.
            let share = Double(batch.targetCount) * scale
            let objective = try losses.total().map { try sum * scale + $0 * share } ?? sum * scale
            if index == parts.count - 1 { passes.beforeLastBackward() }
            try objective.backward()
            for (name, value) in try losses.summary() { auxiliary[name, default: 0] += value * share }
            let value = try sum.detached()
            total = try total.map { try $0 + value } ?? value
            if carriesState { carriedState = try next.detached() }
        }
        return StepLoss(
            mean: try (total?.item() ?? 0) * scale, targetCount: targetCount, byteCount: byteCount,
            auxiliary: auxiliary)
    }

    /// Returns a reason where windows are too short, or layers need all of a sequence.
    public func reasonAgainstDividingSequences(over rankCount: Int) -> String? {
        if source.state.length < rankCount {
            return
                "windows of \(source.state.length) tokens cannot be divided over \(rankCount) ranks; use a longer data.length"
        }
        return model.reasonAgainstDividedSequences
    }

    private func stateBefore(_ batch: Batch) throws -> LanguageModelState? {
        guard carriesState, let carriedState else { return nil }
        let rows = batch.resets.indices.filter { batch.resets[$0] }
        if rows.count == batch.rowCount { return nil }
        return try carriedState.resetting(rows: rows)
    }

    // MARK: State

    /// The place in the text.
    public var dataState: BatchSourceState { source.state }
    /// True if rows continue from the state of the window before.
    public var hasCarriedState: Bool { carriedState != nil }

    /// Moves to a saved place in the text; throws `TextError.stateMismatch`.
    public func restoreData(_ state: BatchSourceState) throws { try source.restore(state) }

    /// Restarts the rows from an empty state.
    public func forgetCarriedState() { carriedState = nil }

    /// Writes `carried_state.safetensors` where there is a state.
    public func writeCarriedState(into folder: String) throws {
        guard let carriedState = gatheredState ?? carriedState else { return }
        gatheredState = nil
        try StateFile.write(SavedState(state: carriedState), of: model, to: folder + "/" + Self.stateFileName)
    }

    /// Reads `carried_state.safetensors`.
    public func readCarriedState(from folder: String, share: BatchShare) throws {
        let state = try StateFile.read(folder + "/" + Self.stateFileName, for: model).state
        carriedState =
            share.count == 1 ? state : try state.selecting(rows: Array(share.rows(of: state.batchSize)))
    }

    /// Joins the rows in the order of the ranks.
    public func gatherCarriedState(_ replicas: Replicas) throws {
        gatheredState = nil
        guard let carriedState else { return }
        let rowCount = source.state.rowCount
        var whole = try carriedState.mapTensors { try replicas.gatherRows($0, rowCount: rowCount) }
        let positions = try replicas.gathered(
            JSONEncoder().encode(carriedState.positions), "gathering the carried state")
        guard replicas.isFirst else { return }
        // Ranks with parts of the same sequences have the same state.
        let first = stride(from: 0, to: positions.count, by: replicas.mesh.shape.sequence).map {
            positions[$0]
        }
        whole.positions = try first.flatMap {
            try JSONDecoder().decode([SequencePosition].self, from: $0)
        }
        gatheredState = whole
    }

    // MARK: Runs in a folder

    /// Reads the text, and makes the model or loads that of a checkpoint.
    public convenience init(
        _ configuration: RunConfiguration<LanguageModelTask>, tokenizer: any Tokenizer, checkpoint: String?,
        device: Device, replicas: Replicas? = nil
    ) throws {
        let (task, seed) = (configuration.task, configuration.training.seed)
        guard tokenizer.vocabularySize <= task.model.vocabularySize else {
            throw TrainingError.vocabularyTooSmall(
                modelSize: task.model.vocabularySize, tokenizerSize: tokenizer.vocabularySize)
        }
        let data = try TextData(
            paths: task.data.paths, separator: task.data.separator,
            validationPaths: task.data.validationPaths, validationFraction: task.data.validationFraction,
            tokenizer: tokenizer, seed: seed, countsBytes: task.tokenizerRecipe() != nil)
        try self.init(
            Self.makeModel(configuration, checkpoint: checkpoint, device: device, replicas?.mesh.tensor),
            source: data.source(task.data, seed: seed), form: task.form ?? task.model.trainingForm,
            carriesState: task.data.mode == .contiguous, tokensPerEpoch: data.training.tokenCount,
            measurement: Measurement(
                configuration: configuration, validation: data.validation, tokenizer: tokenizer,
                warnings: data.warnings))
    }

    private static func makeModel(
        _ configuration: RunConfiguration<LanguageModelTask>, checkpoint: String?, device: Device,
        _ group: (any RankGroup)?
    ) throws -> LanguageModel {
        let computeType = configuration.training.precision.elementType(on: device)
        let model: LanguageModel
        if let checkpoint {
            model = try ModelFolder.load(
                checkpoint, elementType: .float32, device: device, computeType: computeType, group: group
            ).model
            guard model.configuration == configuration.task.model else {
                throw TrainingError.checkpointMismatch(
                    path: checkpoint, reason: "its config.json describes another model than config.yaml")
            }
        } else {
            let store = ParameterStore(
                source: .random(seed: configuration.training.seed), device: device, group: group)
            model = try LanguageModel(configuration.task.model, parameters: store, computeType: computeType)
        }
        model.recomputesActivations = configuration.task.recomputesActivations
        return model
    }

    /// Measures the validation text in the same way as the model is trained.
    public func validate(step: Int) throws -> ValidationRecord? {
        guard let measurement, let validation = measurement.validation else { return nil }
        let data = measurement.configuration.task.data
        let mode: EvaluationWindows.Mode =
            switch data.mode {
            case .shuffled: .independent(rowCount: data.batchSize, overlap: 0)
            case .contiguous: data.resetsAtDocuments ? .carriedWithinDocuments : .carried
            }
        let options = PerplexityOptions(form: form, windowLength: data.length, mode: mode)
        // Carried windows come one at a time.
        let rowsPerPass = data.mode == .shuffled ? 1 : data.batchSize
        let (product, overflows) = measurement.configuration.training.monitoring.evaluationBatchCount
            .multipliedReportingOverflow(by: rowsPerPass)
        let limit = overflows ? Int.max : product
        var passCount = 0
        let result = try Perplexity(model, options: options).measure(validation) { _, _ in
            passCount += 1
            return passCount < limit
        }
        return ValidationRecord(
            step: step, loss: result.natsPerToken, perplexity: result.perplexity,
            bitsPerByte: result.bitsPerByte, tokenCount: result.tokenCount)
    }

    /// Token files that do not keep the bytes of their text.
    public var warnings: [String] { measurement?.warnings ?? [] }

    /// Continues the prompt of samples.
    public func sample() throws -> String? {
        guard let measurement else { return nil }
        let training = measurement.configuration.training
        var parameters = SamplingParameters()
        parameters.temperature = 0.8
        parameters.maxTokens = training.monitoring.sampleTokenCount
        parameters.seed = training.seed
        let session = try GenerationSession(model: model, tokenizer: measurement.tokenizer)
        let results = try session.generate([training.monitoring.samplePrompt], parameters)
        return training.monitoring.samplePrompt + (results.first?.text ?? "")
    }

    /// Writes the files of a model folder.
    public func writeModel(into folder: String, whole: [String: Tensor] = [:]) throws {
        try ModelFolder.write(model, tokenizer: measurement?.tokenizer, into: folder, whole: whole)
    }
}

// MARK: Configuration

extension LanguageModelTask.Configuration {
    /// The smallest preset without any text.
    public static var standard: Self { Self(model: Preset.all[0].configuration) }

    /// `model`, `data`, `form` and `recompute_activations`.
    public static var declarations: [Setting<Self>] {
        [
            .model(\.model, "Architecture: a preset with changes, or written out."),
            .object("data", \.data),
            Setting(
                "form", values: "'auto', 'parallel' or 'chunkwise:N'",
                "Form of training passes. `auto` is the form in which the model's first mixer is fastest, if all can"
                    + " run in it.",
                read: { reader, root in
                    guard let text = reader.optionalString("form"), text != "auto" else { return }
                    guard let form = MixerForm(parsing: text), form != .recurrent else {
                        reader.report("form", allowed: "'auto', 'parallel' or 'chunkwise:N'")
                        return
                    }
                    root.form = form
                }, write: { .string($0.form?.description ?? "auto") }),
            .bool(
                "recompute_activations", \.recomputesActivations,
                "Blocks keep only their inputs for the backward pass."),
        ]
    }

    /// Refuses forms and orders of the text that the model does not have.
    public func reportContradictions(to reader: SettingsReader) {
        if let form, let reason = model.unsupportedReason(for: form) {
            reader.reportContradiction("form", reason)
        }
        if data.mode == .contiguous, model.stateGrows {
            reader.reportContradiction(
                "data.mode",
                "carrying the state over all text needs a state of fixed size, and this model's grows; use 'shuffled'"
            )
        }
    }

    /// `recompute_activations`.
    public static var changeableKeys: [String] { ["recompute_activations"] }

    /// Returns the layer that ranks cannot divide, or that they carry states.
    public func refusal(of mesh: MeshRequest) -> String? {
        let rankCount = mesh[.tensor] ?? 1
        if let reason = model.divisionRefusal(between: rankCount) { return reason }
        guard rankCount > 1, data.mode == .contiguous else { return nil }
        return
            "ranks with parts of the layers do not carry states from batch to batch, as data.mode 'contiguous' does;"
            + " use 'shuffled'"
    }

    /// Returns the architecture of `model.preset`.
    public static func baseModel(of document: SettingsDocument) throws -> SettingsTree? {
        try preset(of: document) { try Preset.named($0) }?.configuration.settings
    }

    /// Returns the recipe of `model.preset`.
    public static func defaults(for document: SettingsDocument) throws -> (
        task: Self, training: TrainingConfiguration
    ) {
        guard let preset = try preset(of: document, { try Preset.named($0) }) else {
            var training = TrainingConfiguration()
            training.schedule = .standard
            return (standard, training)
        }
        let configuration = RunConfiguration(preset: preset)
        return (configuration.task, configuration.training)
    }

    /// Files and folders of the data.
    public var textPaths: [String] { data.paths + data.validationPaths }
    /// The name of the data's tokenizer.
    public var tokenizerName: String? { data.tokenizer }
    /// None.
    public var sentinelCount: Int { 0 }
    /// A token before each document and one for unused positions.
    public var specialTokens: SpecialTokenLayout { .languageModel }

    /// Passes on the text without what is held out.
    public func readTrainingText(into trainer: TokenizerTrainer, seed: UInt64) throws {
        try TextData.readTrainingText(
            paths: data.paths, separator: data.separator, validationPaths: data.validationPaths,
            validationFraction: data.validationFraction, seed: seed, into: trainer)
    }

    /// Returns the tokenizer of bytes.
    public func standardTokenizer() -> any Tokenizer { ByteTokenizer() }

    /// Returns the configuration with absolute paths and a form.
    public func resolved() throws -> Self {
        try model.validate()
        var result = self
        result.data = data.withAbsolutePaths()
        result.form = form ?? model.trainingForm
        return result
    }
}

extension RunConfiguration where Task == LanguageModelTask {
    /// A run of the given model without any text, with all defaults.
    public init(model: LanguageModelConfiguration) {
        self.init(task: LanguageModelTask.Configuration(model: model))
    }

    /// The run that a preset's recipe describes, without any text.
    ///
    /// A shorter run shortens the warm-up to ``ScheduleConfiguration/defaultWarmupShare`` of its updates.
    /// Passes hold at most 16,384 tokens; larger steps are accumulated.
    public init(preset: Preset) {
        self.init(model: preset.configuration)
        let recipe = preset.recipe
        training.optimizer.learningRate = recipe.peakLearningRate
        training.optimizer.weightDecay = recipe.weightDecay
        training.optimizer.clipNorm = recipe.gradientClip
        training.optimizer.adamW.betas = recipe.betas
        training.schedule.warmupStepCount = recipe.warmupSteps
        // The recipe's number is for its own steps; a run may be shorter.
        training.schedule.warmupShare = ScheduleConfiguration.defaultWarmupShare
        training.duration = .steps(recipe.steps)
        task.data.length = max(1, recipe.sequenceLength)
        let rows = max(1, recipe.tokensPerStep / task.data.length)
        let limit = max(1, 16_384 / task.data.length)
        // A divisor, so that the step has exactly the recipe's tokens.
        task.data.batchSize = stride(from: min(rows, limit), through: 1, by: -1).first { rows % $0 == 0 } ?? 1
        training.accumulationCount = rows / task.data.batchSize
    }
}
