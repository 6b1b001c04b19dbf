import RetNetTorch

/// The result of the encoder.
public struct T5Memory {
    /// Hidden states after the final norm, [B, T, encoder output width], in the compute type.
    public let hidden: Tensor
    /// What is padding and what belongs together; nil where everything does.
    public let segments: T5Segments?

    /// Given states.
    public init(hidden: Tensor, segments: T5Segments?) {
        self.hidden = hidden
        self.segments = segments
    }

    /// The given rows, in that order; rows may repeat.
    public func selecting(rows: [Int]) throws -> T5Memory {
        let indices = try Tensor.from(rows.map(Int64.init), on: hidden.device)
        return T5Memory(
            hidden: try hidden.indexSelected(0, indices),
            segments: try segments.map { try T5Segments($0.values.indexSelected(0, indices)) })
    }
}
