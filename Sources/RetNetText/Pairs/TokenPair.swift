/// One example of an encoder-decoder as tokens, with end tokens where the model is to see them.
public struct TokenPair: Hashable, Sendable {
    /// What the encoder reads.
    public var source: [Int32]
    /// What the decoder is to write.
    public var target: [Int32]

    /// An example.
    public init(source: [Int32], target: [Int32]) {
        self.source = source
        self.target = target
    }

    /// The example of two texts, each cut to its length with the end token last, as T5 prepares them.
    public init(
        source: [Int32], target: [Int32], endToken: Int32, sourceLength: Int, targetLength: Int
    ) {
        self.init(
            source: source.prefix(max(0, sourceLength - 1)) + [endToken],
            target: target.prefix(max(0, targetLength - 1)) + [endToken])
    }
}
