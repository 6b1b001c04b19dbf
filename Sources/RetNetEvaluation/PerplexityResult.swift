import Foundation

/// How well a model predicts a stream of tokens.
public struct PerplexityResult: Sendable, Equatable {
    /// How many tokens were predicted.
    public var tokenCount: Int
    /// How many bytes of text those tokens stand for; special tokens stand for none.
    public var byteCount: Int
    /// The summed negative log-likelihood of all predicted tokens, in nats.
    public var totalNats: Double
    /// Wall-clock time.
    public var seconds: Double

    /// A result of given sums.
    public init(tokenCount: Int = 0, byteCount: Int = 0, totalNats: Double = 0, seconds: Double = 0) {
        self.tokenCount = tokenCount
        self.byteCount = byteCount
        self.totalNats = totalNats
        self.seconds = seconds
    }

    /// Mean loss in nats per token; NaN when nothing was predicted.
    public var natsPerToken: Double { tokenCount > 0 ? totalNats / Double(tokenCount) : .nan }
    /// e to the mean loss.
    public var perplexity: Double { exp(natsPerToken) }
    /// Mean loss in bits per token.
    public var bitsPerToken: Double { natsPerToken / log(2) }
    /// Loss in bits per byte of text, which compares models of different tokenizers; NaN without bytes.
    public var bitsPerByte: Double { byteCount > 0 ? totalNats / log(2) / Double(byteCount) : .nan }
    /// Predicted tokens per second.
    public var tokensPerSecond: Double { seconds > 0 ? Double(tokenCount) / seconds : 0 }
}
