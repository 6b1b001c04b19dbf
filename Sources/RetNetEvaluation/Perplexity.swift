@_exported import RetNetInference
import RetNetMixers
import RetNetModels
import RetNetText
import RetNetTorch

/// The measurement of perplexity of streams of any length at constant memory.
///
/// Every token but the first of the stream is predicted from those before it; streams begin with `<bos>` where
/// the tokenizer has one, so that all text is scored.
public struct Perplexity {
    /// The measured model.
    public let model: LanguageModel
    /// The division of the stream into passes.
    public let options: PerplexityOptions

    /// Creates a measurement of one model.
    ///
    /// Throws ``EvaluationError/unsupportedForm(form:reason:)`` when the model lacks the form.
    public init(_ model: LanguageModel, options: PerplexityOptions = .init()) throws {
        if let reason = model.unsupportedReason(for: options.form) {
            throw EvaluationError.unsupportedForm(form: options.form.description, reason: reason)
        }
        self.model = model
        self.options = options
    }

    /// Measures a stream from front to back.
    ///
    /// After every pass `progress` gets the sums so far and the completed share of the stream, and ends the
    /// measurement by returning false. Throws `TextError`, ``EvaluationError`` and `TorchError`.
    public func measure(
        _ stream: TokenStream,
        progress: (_ soFar: PerplexityResult, _ fraction: Double) throws -> Bool = { _, _ in true }
    ) throws -> PerplexityResult {
        var windows = try EvaluationWindows(
            stream: stream, length: options.windowLength, mode: options.mode, share: options.share)
        guard stream.vocabularySize <= model.configuration.vocabularySize else {
            throw EvaluationError.tokenOutOfRange(
                token: stream.vocabularySize - 1, vocabularySize: model.configuration.vocabularySize)
        }
        let start = ContinuousClock.now
        var result = PerplexityResult()
        if options.measuresPositions { result.byPosition = PositionLosses() }
        var state: LanguageModelState?
        var readCount = 0
        while let batch = try windows.next() {
            if batch.resets.contains(true) { (state, readCount) = (nil, 0) }
            let pass = try score(batch, state: state, after: readCount, &result.byPosition)
            readCount += batch.length
            state = options.mode.carriesState ? pass.state : nil
            result.totalNats += pass.nats
            result.tokenCount += batch.targetCount
            result.byteCount = result.byteCount.flatMap { sum in batch.targetByteCount.map { sum + $0 } }
            result.seconds = (ContinuousClock.now - start) / .seconds(1)
            guard try progress(result, windows.fractionCompleted) else { break }
        }
        return result
    }

    private func score(
        _ batch: Batch, state: LanguageModelState?, after readCount: Int, _ positions: inout PositionLosses?
    ) throws -> (nats: Double, state: LanguageModelState) {
        try withoutGradients {
            let shape = [batch.rowCount, batch.length]
            let tokens = try Tensor.from(batch.tokens, shape).to(.int64, on: model.device)
            let targets = try Tensor.from(batch.targets, shape).to(.int64, on: model.device)
            let (losses, next) = try model.tokenLosses(
                tokens, targets: targets, state: state, form: options.form)
            if positions != nil {
                for (index, loss) in try losses.to(.float64).doubles().enumerated()
                where batch.targets[index] != Batch.ignoredTarget {
                    positions?.add(loss, contextLength: readCount + index % batch.length + 1)
                }
            }
            return (try losses.to(.float64).sum().item(), next)
        }
    }
}
