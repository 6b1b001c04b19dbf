import Foundation
import RetNetCheckpoints
import RetNetEvaluation
import RetNetGeneration

extension TrainingRun: RunSubject {
    var monitoring: MonitoringConfiguration { configuration.monitoring }
    var hasValidation: Bool { data.validation != nil }

    func bitsPerByte(loss: Double) -> Double? {
        bytesPerToken > 0 ? loss / log(2) / bytesPerToken : nil
    }

    /// Measures the validation text in the same way as the model is trained.
    func measureValidation() throws -> ValidationRecord {
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
        let (product, overflows) = monitoring.evaluationBatchCount.multipliedReportingOverflow(
            by: rowsPerPass)
        let limit = overflows ? Int.max : product
        var passCount = 0
        let result = try Perplexity(trainer.model, byteCounts: byteCounts, options: options).measure(
            data.validation ?? data.training
        ) { _, _ in
            passCount += 1
            return passCount < limit
        }
        return ValidationRecord(
            step: trainer.step, loss: result.natsPerToken, perplexity: result.perplexity,
            bitsPerByte: result.bitsPerByte, tokenCount: result.tokenCount)
    }

    func makeSample() throws -> String {
        var parameters = SamplingParameters()
        parameters.temperature = 0.8
        parameters.maxTokens = monitoring.sampleTokenCount
        parameters.seed = configuration.seed
        let session = try GenerationSession(model: trainer.model, tokenizer: tokenizer)
        let results = try session.generate([monitoring.samplePrompt], parameters)
        return monitoring.samplePrompt + (results.first?.text ?? "")
    }

    func writeModel(into folder: String) throws {
        try ModelFolder.write(trainer.model, tokenizer: tokenizer, into: folder)
    }
}
