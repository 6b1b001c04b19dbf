import Checkpoints
import Evaluation
import Foundation
import Generation
import Text
import Torch

extension TrainingRun {
    /// Tells everybody of a step, and writes its metrics when they are due.
    func report(_ result: TrainingStep, _ meter: inout ThroughputMeter) throws {
        try notify { try $0.trainingDidStep(result) }
        if let reason = result.skipReason {
            try recorder.write(skippedStep: result.step, reason: reason)
            try notify { try $0.trainingDidWarn("step \(result.step): update skipped because \(reason)") }
        }
        guard result.step % max(1, configuration.monitoring.logInterval) == 0 || result.step == stepCount
        else {
            return
        }
        let speed = meter.take(step: result.step, stepsLeft: stepCount - result.step)
        let metrics = TrainingMetrics(
            step: result.step, time: Date().timeIntervalSince1970, tokenCount: result.totalTokenCount,
            loss: result.loss, accuracy: result.accuracy,
            bitsPerByte: bytesPerToken > 0 ? result.loss / log(2) / bytesPerToken : .nan,
            learningRate: result.learningRate, gradientNorm: result.gradientNorm,
            tokensPerSecond: speed.tokensPerSecond, peakMemoryByteCount: ProcessMemory.peakByteCount,
            secondsLeft: speed.secondsLeft, skippedCount: trainer.lossGuard.statistics.skippedInAll,
            auxiliary: result.auxiliary)
        try recorder.write(metrics)
        try notify { try $0.trainingDidLog(metrics) }
    }

    /// Measures the validation text in the same way as the model is trained.
    func validate() throws {
        guard let stream = data.validation else { return }
        let settings = configuration.data
        let memory: PerplexityOptions.Memory =
            switch settings.mode {
            case .shuffled: .independent(rowCount: settings.batchSize, overlap: 0)
            case .contiguous: settings.resetsAtDocuments ? .carriedWithinDocuments : .carried
            }
        let options = PerplexityOptions(
            form: configuration.trainerOptions.form, windowLength: settings.length, memory: memory)
        // Carried windows come one at a time.
        let rowsPerPass = settings.mode == .shuffled ? 1 : settings.batchSize
        let (product, overflows) = configuration.monitoring.evaluationBatchCount
            .multipliedReportingOverflow(by: rowsPerPass)
        let limit = overflows ? Int.max : product
        var passCount = 0
        let result = try Perplexity(trainer.model, byteCounts: byteCounts, options: options).measure(stream) {
            _, _ in
            passCount += 1
            return passCount < limit
        }
        let record = ValidationRecord(
            step: trainer.step, loss: result.natsPerToken, perplexity: result.perplexity,
            bitsPerByte: result.bitsPerByte, tokenCount: result.tokenCount)
        guard record.loss.isFinite else {
            try notify {
                try $0.trainingDidWarn("step \(trainer.step): the validation loss is \(record.loss)")
            }
            return
        }
        let isBest = bestValidation.map { record.loss < $0.loss } ?? true
        if isBest { bestValidation = record }
        lastValidation = record
        try recorder.write(record)
        try notify { try $0.trainingDidValidate(record, isBest: isBest) }
    }

    /// Generates a short text, the same for the same weights; the run itself does not notice.
    func writeSample() throws {
        let settings = configuration.monitoring
        var parameters = SamplingParameters()
        parameters.temperature = 0.8
        parameters.maxTokens = settings.sampleTokenCount
        parameters.seed = configuration.seed
        let text: String
        do {
            let session = try GenerationSession(model: trainer.model, tokenizer: tokenizer)
            let results = try session.generate([settings.samplePrompt], parameters)
            text = settings.samplePrompt + (results.first?.text ?? "")
        } catch let error as GenerationError {
            // A sample is a courtesy: a prompt that cannot be continued must not end the run.
            try notify { try $0.trainingDidWarn("step \(trainer.step): no sample: \(error)") }
            return
        }
        try recorder.write(sample: text, step: trainer.step)
        try notify { try $0.trainingDidSample(step: trainer.step, text: text) }
    }

    /// Saves a checkpoint, points at it, draws the loss curve, and only then removes old checkpoints.
    func save() throws {
        var progress = try trainer.progress()
        progress.bestValidation = bestValidation
        progress.lastValidation = lastValidation
        let path = folder.checkpointPath(step: trainer.step)
        try TrainingCheckpoint.save(trainer, progress: progress, to: path) {
            try ModelFolder.write(trainer.model, tokenizer: tokenizer, into: $0)
        }
        try folder.publish(step: trainer.step)
        try folder.removeOldCheckpoints(keeping: configuration.monitoring.keptCheckpointCount)
        try recorder.drawLossCurve(final: false)
        try notify { try $0.trainingDidSave(step: trainer.step, path: path) }
    }
}
