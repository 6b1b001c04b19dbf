/// Widths outside the layers, which a stack of several blocks a token may make larger than the layers.
public struct T5Widths: Sendable, Equatable {
    /// Of the rows of the embedding.
    public var embedding: Int
    /// Of the encoder's output: its final norm, and what keys and values of cross-attention read.
    public var encoderOutput: Int
    /// Of the decoder's output: its final norm and the output matrix.
    public var decoderOutput: Int

    /// Given widths.
    public init(embedding: Int, encoderOutput: Int, decoderOutput: Int) {
        self.embedding = embedding
        self.encoderOutput = encoderOutput
        self.decoderOutput = decoderOutput
    }

    /// One width everywhere: that of the layers in a plain T5.
    public init(_ width: Int) {
        self.init(embedding: width, encoderOutput: width, decoderOutput: width)
    }
}
