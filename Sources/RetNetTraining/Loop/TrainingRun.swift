import Foundation
import RetNetCheckpoints
import RetNetEvaluation
import RetNetLayers
import RetNetModels
import RetNetStorage
import RetNetText
import RetNetTorch

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

    let data: TrainingData
    let byteCounts: TokenByteCounts
    let bytesPerToken: Double
    private let loop: RunLoop

    /// The step that the run was resumed at, or nil for a new run.
    public var resumedStep: Int? { loop.resumedStep }

    /// Begins a run in a new folder, or continues the one in it.
    ///
    /// Without a tokenizer, that of `data.tokenizer` or of the run is taken. `warn` hears of broken checkpoints that
    /// are passed over. Throws ``TrainingError``, `SettingsError`, `TextError`, `StorageError` and `TorchError`; what
    /// was there before is then untouched.
    public init(
        _ configuration: TrainingConfiguration, folder path: String, resume: Bool = false,
        tokenizer: (any Tokenizer)? = nil, device: Device = .cpu, warn: (String) -> Void = { _ in }
    ) throws {
        folder = RunFolder(path: path)
        let resolved = try configuration.resolved()
        self.configuration = resolved
        let tokenizer =
            try tokenizer
            ?? RunTokenizer.load(
                named: resolved.data.tokenizer, folder: folder, resume: resume, otherwise: { ByteTokenizer() }
            )
        self.tokenizer = tokenizer
        try OpenedRunFolder.check(folder, resume: resume)
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
        let opened = try OpenedRunFolder(
            folder, resume: resume, settings: resolved.runSettings, warn: warn)
        let model =
            try newModel ?? Self.makeModel(resolved, checkpoint: opened.checkpoint?.path, device: device)
        var options = resolved.trainerOptions
        options.stepCount = stepCount
        trainer = try Trainer(model, source: source, options: options)
        loop = try RunLoop(opened, trainer: trainer, configurationText: resolved.yamlText)
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
        try loop.run(self, interrupt: interrupt, observers: observers)
    }
}
