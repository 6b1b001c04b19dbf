import RetNetReporting

/// One validation during training.
public struct ValidationRecord: Sendable, Equatable, Codable {
    /// After which step.
    public var step: Int
    /// Mean loss in nats per token.
    public var loss: Double
    /// e to the loss.
    public var perplexity: Double
    /// Bits per byte of text; nil where targets are not a text from start to end.
    public var bitsPerByte: Double?
    /// The share of targets that had the largest logit; nil where that is not counted.
    public var accuracy: Double?
    /// How many tokens were predicted.
    public var tokenCount: Int
}

extension ValidationRecord {
    /// Loss, bits per byte and accuracy, as far as they are there, for people.
    public var summary: String {
        var text = "validation loss \(Format.number(loss))"
        if let bitsPerByte { text += ", \(Format.number(bitsPerByte)) bits per byte" }
        if let accuracy { text += ", \(Format.number(100 * accuracy))% of targets right" }
        return text
    }
}
