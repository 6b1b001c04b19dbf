import Checkpoints
import Evaluation
import Foundation
import Layers
import Models
import Storage
import Text
import Torch

/// A training run in a folder: data, trainer, validation, samples, metrics and checkpoints.
///
/// Nothing is lost when the process dies at any moment: the newest whole checkpoint continues bit for bit.
public final class TrainingRun {
    /// The folder of the run.
    public let folder: RunFolder
    /// The configuration with everything resolved that was left to choose.
    public let configuration: TrainingConfiguration
    /// The trainer, for those who want to look inside.
    public let trainer: Trainer
    /// The tokenizer of the run.
    public let tokenizer: any Tokenizer
    /// Steps of the whole run.
    public let stepCount: Int
    /// The step that the run was resumed at, or nil for a new run.
    public let resumedStep: Int?

    let data: TrainingData
    let byteCounts: TokenByteCounts
    let bytesPerToken: Double
    let recorder: RunRecorder
    var observers: [any TrainingObserver] = []
    var bestValidation: ValidationRecord?
    var lastValidation: ValidationRecord?
    private let lock: RunLock

    /// Begins a run in a new folder, or continues the one in it.
    ///
    /// Without a tokenizer, that of `data.tokenizer` or of the run is taken. `warn` hears of broken checkpoints that are passed over. Throws ``TrainingError``, `SettingsError`,
    /// `TextError`, `StorageError` and `TorchError`; what was there before is then untouched.
    public init(
        _ configuration: TrainingConfiguration, folder path: String, resume: Bool = false,
        tokenizer: (any Tokenizer)? = nil, device: Device = .cpu, warn: (String) -> Void = { _ in }
    ) throws {
        folder = RunFolder(path: path)
        let resolved = try configuration.resolved()
        self.configuration = resolved
        let tokenizer = try tokenizer ?? resolved.loadTokenizer(folder: folder, resume: resume)
        self.tokenizer = tokenizer
        if resume {
            guard FileManager.default.fileExists(atPath: folder.path) else {
                throw TrainingError.nothingToResume(path: folder.path)
            }
        } else if folder.isOccupied {
            throw TrainingError.runExists(path: folder.path)
        }
        // Whatever is wrong with the data or the model must be known before a folder is made.
        data = try TrainingData(resolved.data, tokenizer: tokenizer, seed: resolved.seed)
        let source = try data.source(resolved.data, seed: resolved.seed)
        byteCounts = TokenByteCounts(tokenizer)
        bytesPerToken = try data.bytesPerToken(tokenizer)
        guard tokenizer.vocabularySize <= resolved.model.vocabularySize else {
            throw TrainingError.vocabularyTooSmall(
                modelSize: resolved.model.vocabularySize, tokenizerSize: tokenizer.vocabularySize)
        }
        let (tokensPerStep, overflows) = source.tokensPerBatch
            .multipliedReportingOverflow(by: resolved.accumulationCount)
        stepCount = resolved.duration.stepCount(
            tokensPerStep: overflows ? Int.max : tokensPerStep, tokensPerEpoch: data.training.tokenCount)
        let newModel = resume ? nil : try Self.makeModel(resolved, checkpoint: nil, device: device)
        try folder.prepare()
        lock = try RunLock(folder: folder)
        var checkpoint: (step: Int, path: String)?
        if resume {
            try folder.removeLeftovers()
            try resolved.checkResumable(folder: folder)
            checkpoint = try folder.newestWholeCheckpoint(warn: warn)
        }
        let model = try newModel ?? Self.makeModel(resolved, checkpoint: checkpoint?.path, device: device)
        var options = resolved.trainerOptions
        options.stepCount = stepCount
        trainer = try Trainer(model, source: source, options: options)
        resumedStep = checkpoint?.step
        if let checkpoint {
            let progress = try TrainingCheckpoint.progress(of: checkpoint.path)
            try TrainingCheckpoint.restore(trainer, progress: progress, from: checkpoint.path)
            bestValidation = progress.bestValidation
            lastValidation = progress.lastValidation
        }
        // Last, so that a run that cannot be resumed keeps its configuration.
        try AtomicFile.write(Data(resolved.yamlText.utf8), to: folder.configurationPath)
        // A run that died before its first checkpoint begins anew, and so do its logs.
        recorder = try RunRecorder(folder: folder, resumedStep: resume ? checkpoint?.step ?? 0 : nil)
    }

    private static func makeModel(_ configuration: TrainingConfiguration, checkpoint: String?, device: Device)
        throws
        -> LanguageModel
    {
        let computeType = configuration.computeType
        let model: LanguageModel
        if let checkpoint {
            model = try ModelFolder.load(
                checkpoint, elementType: .float32, device: device, computeType: computeType
            ).model
            guard model.configuration == configuration.model else {
                throw TrainingError.checkpointMismatch(
                    path: checkpoint, reason: "its config.json describes another model than config.yaml")
            }
        } else {
            let store = ParameterStore(source: .random(seed: configuration.seed), device: device)
            model = try LanguageModel(configuration.model, parameters: store, computeType: computeType)
        }
        model.recomputesActivations = configuration.recomputesActivations
        return model
    }

    /// Trains until the last step or until a stop is asked for, then saves.
    ///
    /// The flag is looked at after every step. Throws what training, saving or an observer throws; the last
    /// checkpoint is then the place to resume from.
    public func run(interrupt: InterruptFlag = InterruptFlag(), observers: [any TrainingObserver] = []) throws
        -> TrainingOutcome
    {
        self.observers = observers
        defer { self.observers = [] }
        try notify { try $0.trainingDidStart(startStep: trainer.step, stepCount: stepCount) }
        var meter = ThroughputMeter(step: trainer.step)
        var lastSavedStep = resumedStep
        var loss: Double?
        while trainer.step < stepCount, !interrupt.isRaised {
            let clock = ContinuousClock.now
            let result = try trainer.makeStep()
            meter.add(seconds: (ContinuousClock.now - clock) / .seconds(1), tokenCount: result.tokenCount)
            loss = result.loss
            try report(result, &meter)
            let step = trainer.step
            if isDue(step, every: configuration.monitoring.evaluationInterval) { try validate() }
            if isDue(step, every: configuration.monitoring.sampleInterval) { try writeSample() }
            if isDue(step, every: configuration.monitoring.checkpointInterval) {
                try save()
                lastSavedStep = step
            }
        }
        let isFinished = trainer.step >= stepCount
        if isFinished, data.validation != nil, lastValidation?.step != trainer.step {
            try validate()
            // The validation belongs into the last checkpoint.
            lastSavedStep = nil
        }
        if lastSavedStep != trainer.step { try save() }
        try recorder.drawLossCurve(final: true)
        let outcome = TrainingOutcome(
            reason: isFinished ? .finished : .interrupted, step: trainer.step, loss: loss,
            validation: lastValidation, checkpointPath: folder.checkpointPath(step: trainer.step))
        try notify { try $0.trainingDidEnd(outcome) }
        return outcome
    }

    private func isDue(_ step: Int, every interval: Int) -> Bool { interval > 0 && step % interval == 0 }

    func notify(_ body: (any TrainingObserver) throws -> Void) throws {
        for observer in observers { try body(observer) }
    }
}
