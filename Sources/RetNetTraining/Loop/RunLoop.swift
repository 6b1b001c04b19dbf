import Foundation
import RetNetGeneration
import RetNetStorage

/// The loop of a training run in a folder: steps, metrics, validations, samples and checkpoints.
final class RunLoop {
    let folder: RunFolder
    /// The step that the run was resumed at, or nil for a new run.
    let resumedStep: Int?

    private let opened: OpenedRunFolder
    private let recorder: RunRecorder
    private var observers: [any TrainingObserver] = []
    private var bestValidation: ValidationRecord?
    private var lastValidation: ValidationRecord?

    /// Puts the trainer where the folder's checkpoint was saved, if there is one, and opens the logs.
    init<Objective>(
        _ opened: OpenedRunFolder, trainer: StepTrainer<Objective>, configurationText: String
    ) throws {
        self.opened = opened
        folder = opened.folder
        resumedStep = opened.checkpoint?.step
        if let checkpoint = opened.checkpoint {
            let progress = try TrainingCheckpoint.progress(of: checkpoint.path)
            try TrainingCheckpoint.restore(trainer, progress: progress, from: checkpoint.path)
            bestValidation = progress.bestValidation
            lastValidation = progress.lastValidation
        }
        // Last, so that a run that cannot be resumed keeps its configuration.
        try AtomicFile.write(Data(configurationText.utf8), to: folder.configurationPath)
        // A run that died before its first checkpoint begins anew, and so do its logs.
        recorder = try RunRecorder(
            folder: folder, resumedStep: opened.isResumed ? opened.checkpoint?.step ?? 0 : nil)
    }

    /// Trains until the last step or until a stop is asked for, then saves.
    func run(
        _ subject: some RunSubject, interrupt: InterruptFlag, observers: [any TrainingObserver]
    ) throws -> TrainingOutcome {
        self.observers = observers
        defer { self.observers = [] }
        let (trainer, stepCount) = (subject.trainer, subject.stepCount)
        try notify { try $0.trainingDidStart(startStep: trainer.step, stepCount: stepCount) }
        var meter = ThroughputMeter(step: trainer.step)
        var lastSavedStep = resumedStep
        var loss: Double?
        while trainer.step < stepCount, !interrupt.isRaised {
            let clock = ContinuousClock.now
            let result = try trainer.makeStep()
            meter.add(seconds: (ContinuousClock.now - clock) / .seconds(1), tokenCount: result.tokenCount)
            loss = result.loss
            try report(result, subject, &meter)
            let step = trainer.step
            if isDue(step, every: subject.monitoring.evaluationInterval) { try validate(subject) }
            if isDue(step, every: subject.monitoring.sampleInterval) { try writeSample(subject) }
            if isDue(step, every: subject.monitoring.checkpointInterval) {
                try save(subject)
                lastSavedStep = step
            }
        }
        let isFinished = trainer.step >= stepCount
        if isFinished, subject.hasValidation, lastValidation?.step != trainer.step {
            try validate(subject)
            // The validation belongs into the last checkpoint.
            lastSavedStep = nil
        }
        if lastSavedStep != trainer.step { try save(subject) }
        try recorder.drawLossCurve(final: true)
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

    /// Tells everybody of a step, and writes its metrics when they are due.
    private func report(_ result: TrainingStep, _ subject: some RunSubject, _ meter: inout ThroughputMeter)
        throws
    {
        try notify { try $0.trainingDidStep(result) }
        if let reason = result.skipReason {
            try recorder.write(skippedStep: result.step, reason: reason)
            try notify { try $0.trainingDidWarn("step \(result.step): update skipped because \(reason)") }
        }
        let stepCount = subject.stepCount
        guard result.step % max(1, subject.monitoring.logInterval) == 0 || result.step == stepCount else {
            return
        }
        let speed = meter.take(step: result.step, stepsLeft: stepCount - result.step)
        let metrics = TrainingMetrics(
            step: result.step, time: Date().timeIntervalSince1970, tokenCount: result.totalTokenCount,
            loss: result.loss, accuracy: result.accuracy,
            bitsPerByte: subject.bitsPerByte(loss: result.loss), learningRate: result.learningRate,
            gradientNorm: result.gradientNorm, tokensPerSecond: speed.tokensPerSecond,
            peakMemoryByteCount: ProcessMemory.peakByteCount, secondsLeft: speed.secondsLeft,
            skippedCount: subject.trainer.lossGuard.statistics.skippedInAll, auxiliary: result.auxiliary)
        try recorder.write(metrics)
        try notify { try $0.trainingDidLog(metrics) }
    }

    private func validate(_ subject: some RunSubject) throws {
        guard subject.hasValidation else { return }
        let record = try subject.measureValidation()
        guard record.loss.isFinite else {
            try notify {
                try $0.trainingDidWarn("step \(record.step): the validation loss is \(record.loss)")
            }
            return
        }
        let isBest = bestValidation.map { record.loss < $0.loss } ?? true
        if isBest { bestValidation = record }
        lastValidation = record
        try recorder.write(record)
        try notify { try $0.trainingDidValidate(record, isBest: isBest) }
    }

    private func writeSample(_ subject: some RunSubject) throws {
        let step = subject.trainer.step
        let text: String
        do {
            text = try subject.makeSample()
        } catch let error as GenerationError {
            // A sample is a courtesy: a prompt that cannot be continued must not end the run.
            try notify { try $0.trainingDidWarn("step \(step): no sample: \(error)") }
            return
        }
        try recorder.write(sample: text, step: step)
        try notify { try $0.trainingDidSample(step: step, text: text) }
    }

    /// Saves a checkpoint, points at it, draws the loss curve, and only then removes old checkpoints.
    private func save(_ subject: some RunSubject) throws {
        let trainer = subject.trainer
        var progress = try trainer.progress()
        progress.bestValidation = bestValidation
        progress.lastValidation = lastValidation
        let path = folder.checkpointPath(step: trainer.step)
        try TrainingCheckpoint.save(trainer, progress: progress, to: path) {
            try subject.writeModel(into: $0)
        }
        try folder.publish(step: trainer.step)
        try folder.removeOldCheckpoints(keeping: subject.monitoring.keptCheckpointCount)
        try recorder.drawLossCurve(final: false)
        try notify { try $0.trainingDidSave(step: trainer.step, path: path) }
    }
}
