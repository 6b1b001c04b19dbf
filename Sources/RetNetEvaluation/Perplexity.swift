import Foundation
import RetNetMixers
import RetNetModels
import RetNetText
import RetNetTorch

/// Scores streams of tokens of any length at constant memory.
///
/// Every token but the first of the stream is predicted from those before it; streams begin with `<bos>` where
/// the tokenizer has one, so that all text is scored.
public struct Perplexity {
    /// The model that is measured.
    public let model: LanguageModel
    /// How the stream is cut.
    public let options: PerplexityOptions
    private let byteCounts: TokenByteCounts

    /// Prepares a measurement of one model.
    ///
    /// Throws ``EvaluationError/unsupportedForm(form:reason:)`` when the model lacks the form.
    public init(_ model: LanguageModel, byteCounts: TokenByteCounts, options: PerplexityOptions = .init())
        throws
    {
        if let reason = model.unsupportedReason(for: options.form) {
            throw EvaluationError.unsupportedForm(form: options.form.description, reason: reason)
        }
        self.model = model
        self.options = options
        self.byteCounts = byteCounts
    }

    /// Measures a stream from front to back.
    ///
    /// `progress` gets the sums so far and the share of the stream that is done after every pass, and ends the
    /// measurement by returning false. Throws `TextError`, ``EvaluationError`` and `TorchError`.
    public func measure(
        _ stream: TokenStream,
        progress: (_ soFar: PerplexityResult, _ fraction: Double) throws -> Bool = { _, _ in true }
    ) throws -> PerplexityResult {
        let mode: EvaluationWindows.Mode =
            switch options.memory {
            case .carried: .carried
            case .carriedWithinDocuments: .carriedWithinDocuments
            case .independent(let rowCount, let overlap): .independent(rowCount: rowCount, overlap: overlap)
            }
        var windows = try EvaluationWindows(stream: stream, length: options.windowLength, mode: mode)
        guard stream.vocabularySize <= model.configuration.vocabularySize else {
            throw EvaluationError.tokenOutOfRange(
                token: stream.vocabularySize - 1, vocabularySize: model.configuration.vocabularySize)
        }
        let start = ContinuousClock.now
        var result = PerplexityResult()
        var state: LanguageModelState?
        while let batch = try windows.next() {
            if batch.resets.contains(true) { state = nil }
            let pass = try score(batch, state: state)
            state = mode.carriesState ? pass.state : nil
            result.totalNats += pass.nats
            for target in batch.targets where target != Batch.ignoredTarget {
                result.tokenCount += 1
                result.byteCount += byteCounts[target]
            }
            result.seconds = (ContinuousClock.now - start) / .seconds(1)
            guard try progress(result, windows.fractionCompleted) else { break }
        }
        return result
    }

    private func score(_ batch: Batch, state: LanguageModelState?) throws
        -> (nats: Double, state: LanguageModelState)
    {
        try withoutGradients {
            let shape = [batch.rowCount, batch.length]
            let tokens = try Tensor.from(batch.tokens, shape).to(.int64, on: model.device)
            let targets = try Tensor.from(batch.targets, shape).to(.int64, on: model.device)
            let (losses, next) = try model.tokenLosses(
                tokens, targets: targets, state: state, form: options.form)
            return (try losses.to(.float64).sum().item(), next)
        }
    }
}

extension EvaluationWindows.Mode {
    fileprivate var carriesState: Bool {
        switch self {
        case .carried, .carriedWithinDocuments: true
        case .independent: false
        }
    }
}
