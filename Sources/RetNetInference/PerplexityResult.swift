import Foundation
import RetNetArchitecture
import RetNetText

/// The division of a stream of tokens into passes of the model.
public struct PerplexityOptions: Sendable, Equatable {
    /// Form of every pass, of engines that have several.
    public var form: MixerForm
    /// Longest window in tokens.
    ///
    /// Memory grows with it. The result depends on it only where windows are independent.
    public var windowLength: Int
    /// Dependence of the windows on each other: with a carried state or independent.
    public var mode: EvaluationWindows.Mode
    /// The windows to measure, where several processes share the stream.
    public var share = EvaluationWindows.Share.whole
    /// True to keep the losses by the number of tokens before each prediction.
    public var measuresPositions = false

    /// Creates options; by default windows of 2,048 tokens that carry the state, in chunks of 256.
    public init(
        form: MixerForm = .chunkwise(256), windowLength: Int = 2048, mode: EvaluationWindows.Mode = .carried
    ) {
        self.form = form
        self.windowLength = windowLength
        self.mode = mode
    }

    /// Returns options for independent windows of `context` tokens, as models without a state are measured.
    public static func independent(context: Int, form: MixerForm = .chunkwise(256)) -> PerplexityOptions {
        // About 8,192 tokens per pass bound the memory for every context.
        let rowCount = max(1, 8192 / max(1, context))
        return PerplexityOptions(
            form: form, windowLength: context, mode: .independent(rowCount: rowCount, overlap: 0))
    }
}

/// The quality of a model's predictions of a stream of tokens.
public struct PerplexityResult: Sendable, Equatable, Codable {
    /// Number of predicted tokens.
    public var tokenCount: Int
    /// Bytes of the source text that those tokens stand for, before the tokenizer has normalized it; nil if unknown.
    ///
    /// Special tokens have none. Token files of version 1 do not keep the number.
    public var byteCount: Int?
    /// Words of the whole source text, by `Corpus.wordCount()`; nil if unknown, or if a part of the text was predicted.
    public var wordCount: Int?
    /// Sum of the negative log-likelihoods of all predicted tokens, in nats.
    public var totalNats: Double
    /// Wall-clock time in seconds.
    public var seconds: Double
    /// Losses by the number of tokens before each prediction, if they were asked for.
    public var byPosition: PositionLosses?

    /// Creates a result of given sums.
    public init(tokenCount: Int = 0, byteCount: Int? = 0, totalNats: Double = 0, seconds: Double = 0) {
        self.tokenCount = tokenCount
        self.byteCount = byteCount
        self.totalNats = totalNats
        self.seconds = seconds
    }

    /// Adds the measurement of another part of the same text, made at the same time.
    public mutating func add(_ other: PerplexityResult) {
        tokenCount += other.tokenCount
        totalNats += other.totalNats
        byteCount = byteCount.flatMap { own in other.byteCount.map { own + $0 } }
        seconds = max(seconds, other.seconds)
        if let positions = other.byPosition { byPosition?.add(positions) }
    }

    /// Mean loss in nats per token; NaN when nothing was predicted.
    public var natsPerToken: Double { tokenCount > 0 ? totalNats / Double(tokenCount) : .nan }
    /// Exponential of the mean loss.
    public var perplexity: Double { exp(natsPerToken) }
    /// Mean loss in bits per token.
    public var bitsPerToken: Double { natsPerToken / log(2) }
    /// Loss in nats per byte of the source text; nil if their number is 0 or not known.
    public var natsPerByte: Double? {
        byteCount.flatMap { $0 > 0 && totalNats.isFinite ? totalNats / Double($0) : nil }
    }
    /// Loss in bits per byte of the source text, which compares models of different tokenizers; nil like `natsPerByte`.
    ///
    /// The same figure as in lm-evaluation-harness: the text as it was read counts, not what the tokenizer makes of it.
    public var bitsPerByte: Double? { natsPerByte.map { $0 / log(2) } }
    /// Perplexity per byte of the source text; nil like `natsPerByte`.
    public var bytePerplexity: Double? { natsPerByte.map { exp($0) } }
    /// Perplexity per word of the source text, as of WikiText in lm-evaluation-harness; nil if their number is not known.
    public var wordPerplexity: Double? {
        wordCount.flatMap { $0 > 0 && totalNats.isFinite ? exp(totalNats / Double($0)) : nil }
    }
    /// Predicted tokens per second.
    public var tokensPerSecond: Double { seconds > 0 ? Double(tokenCount) / seconds : 0 }
}
