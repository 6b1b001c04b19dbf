/// One validation during training.
public struct ValidationRecord: Sendable, Equatable, Codable {
    /// After which step.
    public var step: Int
    /// Mean loss in nats per token.
    public var loss: Double
    /// e to the loss.
    public var perplexity: Double
    /// Bits per byte of text.
    public var bitsPerByte: Double
    /// How many tokens were predicted.
    public var tokenCount: Int
}
