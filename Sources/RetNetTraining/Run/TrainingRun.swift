import Foundation
import RetNetCheckpoints
import RetNetDistributed
import RetNetGeneration
import RetNetStorage
import RetNetText
import RetNetTorch

/// A training run in a folder: steps, validations, samples, metrics and checkpoints.
///
/// Nothing is lost when the process dies at any moment: the run resumes bit for bit from its newest whole checkpoint,
/// which is a model folder. Several ranks train one run together: rank 0 measures, saves and writes the folder, and every
/// rank writes a log of its own into it.
public final class TrainingRun<Task: TrainingTask> {
    /// The folder of the run.
    public let folder: RunFolder
    /// The configuration with every automatic choice made.
    public let configuration: RunConfiguration<Task>
    /// The trainer, with the task and its model.
    public let trainer: Trainer<Task>
    /// The tokenizer of the run.
    public let tokenizer: any Tokenizer
    /// The step that the run was resumed at; nil for a new run.
    public let resumedStep: Int?

    /// The lock and the records of the folder, which rank 0 alone has.
    private let lock: FolderLock?
    private let recorder: RunRecorder?
    private let replicas: Replicas?
    private let rankLog: RankLog?
    private var observers: [any TrainingObserver] = []
    private var bestValidation: ValidationRecord?
    private var lastValidation: ValidationRecord?

    private var monitoring: MonitoringConfiguration { configuration.training.monitoring }

    /// Begins a run in a new folder, or resumes the one in it; the folder is locked as long as the run exists.
    ///
    /// `lock` is the lock of the folder if the caller has taken it already, to read the configuration under it.
    /// Without a tokenizer, that of the checkpoint, of `data.tokenizer` or the task's standard one is taken. `warn` gets
    /// a message for each broken checkpoint that is passed over, for a precision that is slow here, and the warnings of the
    /// task; `note` gets one about a tokenizer that was trained.
    ///
    /// With `group`, its ranks share every step. Settings, data, tokenizer and `facts` must be those of rank 0, and all
    /// ranks must see the folder when a run is resumed. Throws ``TrainingError``, `MeshError`, `SettingsError`, `TextError`,
    /// `EvaluationError`, `CheckpointError`, `StorageError`, `DistributedError` and `TorchError`; earlier contents of the
    /// folder are then untouched.
    public init(
        _ configuration: RunConfiguration<Task>, folder path: String, resume: Bool = false,
        tokenizer: (any Tokenizer)? = nil, device: Device = .cpu, lock ownLock: FolderLock? = nil,
        group: ProcessGroup? = nil, facts: [(name: String, value: String)] = [],
        warn: (String) -> Void = { _ in }, note: (String) -> Void = { _ in }
    ) throws {
        folder = RunFolder(path: path)
        let distribution = configuration.training.distribution
        _ = try distribution.mesh.shape(rankCount: group?.count ?? 1)
        try configuration.checkMesh()
        let replicas = try group.map { try Replicas($0, distribution) }
        self.replicas = replicas
        let isFirst = replicas?.isFirst ?? true
        // Before anything is read, so that what is found in the folder stays true until the end of the run.
        let lock = isFirst ? try ownLock ?? folder.lock(resume: resume) : nil
        var isReady = false
        // Mistakes in the data or the model leave no folder behind.
        defer { if !isReady { lock?.abandon() } }
        self.lock = lock
        var configuration = configuration
        if resume { try configuration.adoptWarmup(of: folder) }
        var resolved = try configuration.resolved(on: device)
        let type = resolved.training.precision.elementType(on: device)
        if let warning = Runtime.slownessWarning(for: type, on: device) { warn(warning) }
        var checkpoint: String?
        if resume {
            let folder = RunFolder(path: path)
            resumedStep = try Replicas.once(replicas, "choosing the checkpoint") {
                try folder.removeLeftovers()
                try resolved.checkResumable(in: folder)
                return try folder.newestWholeCheckpoint(warn: warn)?.step
            }
            checkpoint = resumedStep.map { folder.checkpointPath(step: $0) }
        } else {
            resumedStep = nil
        }
        for remark in try Corpus.remarks(on: resolved.task.textPaths) { warn(remark) }
        let given =
            try tokenizer
            ?? resolved.task.tokenizer(
                checkpoint: checkpoint, folder: folder, seed: resolved.training.seed, note: note)
        self.tokenizer = resolved.task.specialTokens.begin == nil ? given : given.beginningTexts()
        let task = try Task(
            resolved, tokenizer: self.tokenizer, checkpoint: checkpoint, device: device, replicas: replicas)
        task.warnings.forEach(warn)
        try replicas?.mesh.world.checkEqual(
            facts + resolved.sharedSettings() + [
                ("tokenizer", self.tokenizer.identity), ("kind of data", task.dataState.kind),
                (
                    "text or examples",
                    "\(task.dataState.tokenCount) with checksum \(task.dataState.fingerprint)"
                ),
                ("checkpoint", resumedStep.map { "step \($0)" } ?? "none"),
            ])
        trainer = try Trainer(task, resolved.training, replicas: replicas)
        resolved.training.schedule = resolved.training.schedule.resolved(stepCount: trainer.stepCount)
        self.configuration = resolved
        if isFirst {
            try folder.makeFolders()
            if try resolved.task.tokenizerRecipe() != nil { try folder.save(self.tokenizer) }
        }
        if let checkpoint {
            let progress = try Checkpoint.restore(trainer, from: checkpoint)
            bestValidation = progress.bestValidation
            lastValidation = progress.lastValidation
        }
        // Last, so that a run that cannot be resumed keeps its configuration.
        if isFirst { try AtomicFile.write(Data(resolved.yamlText.utf8), to: folder.configurationPath) }
        // A run that died before its first checkpoint starts again, and so do its logs.
        recorder =
            isFirst ? try RunRecorder(folder: folder, resumedStep: resume ? resumedStep ?? 0 : nil) : nil
        rankLog = try group.map { [folder, resumedStep] in
            try RankLog(folder: folder, rank: $0.rank, resumedStep: resumedStep)
        }
        if let replicas {
            try rankLog?.writeStart(step: resumedStep ?? 0, rankCount: replicas.mesh.world.count)
        }
        isReady = true
    }

    /// Trains until the last step or until a stop is requested, then saves.
    ///
    /// The flag is read after every step; where it is raised on one rank, all stop after the same step. Throws errors of
    /// training, saving and observers; the run can then be resumed from its last checkpoint.
    public func run(interrupt: InterruptFlag = InterruptFlag(), observers: [any TrainingObserver] = []) throws
        -> TrainingOutcome
    {
        self.observers = observers
        defer { self.observers = [] }
        try notify { try $0.trainingDidStart(startStep: trainer.step, stepCount: trainer.stepCount) }
        var meter = ThroughputMeter(step: trainer.step)
        var lastSavedStep = resumedStep
        var loss: Double?
        replicas?.wantsStop = { interrupt.isRaised }
        // Ranks stop together, after a step.
        if replicas != nil || !interrupt.isRaised {
            try trainer.makeSteps { result in
                meter.add(seconds: result.seconds, tokenCount: result.tokenCount)
                loss = result.loss
                try report(result, &meter)
                if isDue(result.step, every: monitoring.evaluationInterval) { _ = try validate() }
                if isDue(result.step, every: monitoring.sampleInterval) { try writeSample() }
                if isDue(result.step, every: monitoring.checkpointInterval) {
                    try save()
                    lastSavedStep = result.step
                }
                return !(replicas?.stopIsRequested ?? interrupt.isRaised)
            }
        }
        let isFinished = trainer.step >= trainer.stepCount
        // The validation belongs into the last checkpoint.
        if isFinished, lastValidation?.step != trainer.step, try validate() { lastSavedStep = nil }
        if lastSavedStep != trainer.step { try save() }
        try recorder?.drawLossCurve(final: true)
        let outcome = TrainingOutcome(
            reason: isFinished ? .finished : .interrupted, step: trainer.step, loss: loss,
            validation: lastValidation, checkpointPath: folder.checkpointPath(step: trainer.step))
        try notify { try $0.trainingDidEnd(outcome) }
        return outcome
    }

    private func isDue(_ step: Int, every interval: Int) -> Bool { interval > 0 && step % interval == 0 }

    private func notify(_ body: (any TrainingObserver) throws -> Void) throws {
        for observer in observers { try body(observer) }
    }

    // MARK: Reporting

    /// Notifies observers of a step, and writes its metrics when they are due.
    private func report(_ result: TrainingStep, _ meter: inout ThroughputMeter) throws {
        try notify { try $0.trainingDidStep(result) }
        if let reason = result.skipReason {
            try recorder?.write(skippedStep: result.step, reason: reason)
            try notify { try $0.trainingDidWarn("step \(result.step): update skipped because \(reason)") }
        }
        let stepCount = trainer.stepCount
        guard result.step % max(1, monitoring.logInterval) == 0 || result.step == stepCount else { return }
        if let replicas { try rankLog?.write(result, waited: replicas.waitedSeconds) }
        let speed = meter.take(step: result.step, stepsLeft: stepCount - result.step)
        let metrics = TrainingMetrics(
            step: result.step, time: Date().timeIntervalSince1970, tokenCount: result.totalTokenCount,
            loss: result.loss, accuracy: result.accuracy,
            bitsPerByte: result.bitsPerByte, learningRate: result.learningRate,
            gradientNorm: result.gradientNorm, tokensPerSecond: speed.tokensPerSecond,
            peakMemoryByteCount: ProcessMemory.peakByteCount, secondsLeft: speed.secondsLeft,
            skippedCount: trainer.lossGuard.statistics.skippedInAll, auxiliary: result.auxiliary)
        try recorder?.write(metrics)
        try notify { try $0.trainingDidLog(metrics) }
    }

    /// Measures the validation data; returns false where there is none.
    private func validate() throws -> Bool {
        let measured = try Replicas.onFirstCopy(replicas, "the validation") {
            try trainer.task.validate(step: trainer.step)
        }
        guard let record = measured else { return false }
        guard record.loss.isFinite else {
            try notify {
                try $0.trainingDidWarn("step \(record.step): the validation loss is \(record.loss)")
            }
            return true
        }
        let isBest = bestValidation.map { record.loss < $0.loss } ?? true
        if isBest { bestValidation = record }
        lastValidation = record
        try recorder?.write(record)
        try notify { try $0.trainingDidValidate(record, isBest: isBest) }
        return true
    }

    private func writeSample() throws {
        let step = trainer.step
        // A prompt that cannot be continued must not end the run, nor keep the other ranks waiting.
        let sample = try Replicas.onFirstCopy(replicas, "a sample") {
            do {
                return Sample(text: try trainer.task.sample())
            } catch let error as GenerationError {
                return Sample(problem: error.description)
            }
        }
        if let problem = sample.problem {
            try notify { try $0.trainingDidWarn("step \(step): no sample: \(problem)") }
        }
        guard let text = sample.text else { return }
        try recorder?.write(sample: text, step: step)
        try notify { try $0.trainingDidSample(step: step, text: text) }
    }

    /// Saves a checkpoint, points at it, draws the loss curve, and only then removes old checkpoints.
    private func save() throws {
        if let replicas {
            for rank in try replicas.align(trainer.optimizer) {
                let text =
                    "step \(trainer.step): the weights of rank \(rank) had drifted from those of the first copy, which it has"
                    + " now"
                try notify { try $0.trainingDidWarn(text) }
            }
            try trainer.task.gatherCarriedState(replicas)
            try replicas.gatherState(of: trainer.optimizer)
        }
        var progress = try trainer.progress()
        progress.bestValidation = bestValidation
        progress.lastValidation = lastValidation
        let path = folder.checkpointPath(step: trainer.step)
        _ = try Replicas.once(replicas, "saving") {
            try Checkpoint.save(trainer, progress: progress, to: path)
            try folder.publish(step: trainer.step)
            try folder.removeOldCheckpoints(keeping: monitoring.keptCheckpointCount)
            try recorder?.drawLossCurve(final: false)
            return true
        }
        try notify { try $0.trainingDidSave(step: trainer.step, path: path) }
    }
}

/// A text that a model has written, or why there is none.
private struct Sample: Codable {
    var text: String?
    var problem: String?
}
