import Foundation
import RetNetCheckpoints
import RetNetGeneration
import RetNetLayers
import RetNetModels
import RetNetText
import RetNetTorch

/// A training run of a T5 in a folder: pretraining on text, or learning text-to-text tasks.
///
/// Like ``TrainingRun``, it continues bit for bit from its newest whole checkpoint, which is a model folder.
public final class T5TrainingRun {
    /// The folder of the run.
    public let folder: RunFolder
    /// The configuration with everything resolved that was left to choose.
    public let configuration: T5TrainingConfiguration
    /// The trainer, for those who want to look inside.
    public let trainer: T5Trainer
    /// The tokenizer of the run.
    public let tokenizer: any Tokenizer
    /// Steps of the whole run.
    public let stepCount: Int

    private let data: T5TrainingData
    private let loop: RunLoop

    /// The step that the run was resumed at, or nil for a new run.
    public var resumedStep: Int? { loop.resumedStep }

    /// Begins a run in a new folder, or continues the one in it.
    ///
    /// Without a tokenizer, that of `data.tokenizer`, of the initial model or of the run is taken, or the one of bytes
    /// with sentinels. `warn` hears of
    /// broken checkpoints that are passed over. Throws ``TrainingError``, `SettingsError`, `TextError`,
    /// `EvaluationError`, `CheckpointError`, `StorageError` and `TorchError`; what was there before is then untouched.
    public init(
        _ configuration: T5TrainingConfiguration, folder path: String, resume: Bool = false,
        tokenizer: (any Tokenizer)? = nil, device: Device = .cpu, warn: (String) -> Void = { _ in }
    ) throws {
        folder = RunFolder(path: path)
        let resolved = try configuration.resolved()
        self.configuration = resolved
        try OpenedRunFolder.check(folder, resume: resume)
        // Whatever is wrong with the data or the model must be known before a folder is made.
        let tokenizer = try tokenizer ?? Self.tokenizer(resolved, folder: folder, resume: resume)
        self.tokenizer = tokenizer
        data = try T5TrainingData(resolved, tokenizer: tokenizer)
        stepCount = Self.stepCount(resolved, data)
        let newModel = resume ? nil : try Self.makeModel(resolved, checkpoint: nil, device: device)
        let opened = try OpenedRunFolder(
            folder, resume: resume, settings: resolved.runSettings, warn: warn)
        let model =
            try newModel ?? Self.makeModel(resolved, checkpoint: opened.checkpoint?.path, device: device)
        trainer = try T5Trainer(
            model, source: data.source, zLoss: resolved.zLoss,
            options: resolved.stepOptions(stepCount: stepCount))
        loop = try RunLoop(opened, trainer: trainer, configurationText: resolved.yamlText)
    }

    /// Trains until the last step or until a stop is asked for, then saves.
    ///
    /// The flag is looked at after every step. Throws what training, saving or an observer throws; the last
    /// checkpoint is then the place to resume from.
    public func run(interrupt: InterruptFlag = InterruptFlag(), observers: [any TrainingObserver] = []) throws
        -> TrainingOutcome
    {
        try loop.run(self, interrupt: interrupt, observers: observers)
    }

    /// Measures text-to-text examples with the model as it is now.
    public func evaluator() -> TaskEvaluator {
        TaskEvaluator(
            trainer.model, tokenizer: tokenizer, inputLength: configuration.data.inputLength,
            targetLength: configuration.data.targetLength)
    }

    private static func tokenizer(
        _ configuration: T5TrainingConfiguration, folder: RunFolder, resume: Bool
    ) throws -> any Tokenizer {
        try RunTokenizer.load(
            named: configuration.data.tokenizer, sentinelCount: SentencePieceTokenizer.usualSentinelCount,
            folder: folder, resume: resume
        ) {
            guard let initial = configuration.initialModel else { return SentinelByteTokenizer() }
            return try TokenizerLoader.load(folder: RunFolder.modelPath(for: initial))
        }
    }

    private static func stepCount(_ configuration: T5TrainingConfiguration, _ data: T5TrainingData) -> Int {
        let passes = max(1, configuration.accumulationCount)
        if case .epochs(let count) = configuration.duration {
            let steps = (count * data.source.batchesPerEpoch / Double(passes)).rounded(.up)
            return steps < 1 ? 1 : Int(exactly: min(steps, 0x1p53)) ?? 1
        }
        let (targets, overflows) = data.source.targetsPerBatch.multipliedReportingOverflow(by: passes)
        return configuration.duration.stepCount(
            tokensPerStep: overflows ? Int.max : targets, tokensPerEpoch: 0)
    }

    private static func makeModel(
        _ configuration: T5TrainingConfiguration, checkpoint: String?, device: Device
    ) throws -> T5Model {
        let type = configuration.computeType
        if let checkpoint {
            let model = try T5Folder.load(
                checkpoint, elementType: .float32, device: device, computeType: type
            ).model
            guard model.configuration == configuration.model else {
                throw TrainingError.checkpointMismatch(
                    path: checkpoint, reason: "its config.json describes another model than config.yaml")
            }
            return model
        }
        guard let initial = configuration.initialModel else {
            let store = ParameterStore(source: .random(seed: configuration.seed), device: device)
            return try withoutGradients {
                try T5Model(configuration.model, parameters: store, computeType: type)
            }
        }
        let model = try T5Folder.load(
            RunFolder.modelPath(for: initial), elementType: .float32, device: device, computeType: type,
            dropout: configuration.model.dropout
        ).model
        guard model.configuration == configuration.model else {
            throw TrainingError.otherInitialModel(path: initial)
        }
        return model
    }
}

extension T5TrainingRun: RunSubject {
    var monitoring: MonitoringConfiguration { configuration.monitoring }
    var hasValidation: Bool { !data.validation.isEmpty }

    /// Targets are no text from start to end.
    func bitsPerByte(loss: Double) -> Double? { nil }

    func measureValidation() throws -> ValidationRecord {
        let score = try trainer.model.score(data.validation)
        let loss = score.crossEntropy / Double(max(1, score.targetCount))
        return ValidationRecord(
            step: trainer.step, loss: loss, perplexity: exp(loss), bitsPerByte: nil,
            accuracy: Double(score.correctCount) / Double(max(1, score.targetCount)),
            tokenCount: score.targetCount)
    }

    func makeSample() throws -> String {
        let end = Int32(clamping: configuration.model.endToken)
        let outputs = try T5Generator(trainer.model).generate(
            [tokenizer.encode(monitoring.samplePrompt) + [end]],
            BeamSearchParameters(maxTokens: monitoring.sampleTokenCount))
        let text = tokenizer.decode((outputs.first?.first?.tokens ?? []).filter { $0 != end })
        return monitoring.samplePrompt + "\n" + text
    }

    func writeModel(into folder: String) throws {
        try T5Folder.write(trainer.model, tokenizer: tokenizer, into: folder)
    }
}

extension T5Model {
    /// Teacher-forced figures over batches, without gradients.
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
