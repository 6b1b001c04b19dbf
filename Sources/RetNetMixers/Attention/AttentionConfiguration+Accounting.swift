import RetNetLayers

extension AttentionConfiguration: MixerSpecification {
    /// Causal self-attention of these sizes.
    public func makeMixer(_ scope: ParameterScope, _ context: LayerContext) throws -> any TokenMixer {
        try SelfAttention(scope, self, context)
    }

    /// Rotations are those of the positions between.
    public var honoursPositionStride: Bool { true }

    /// Keys and values of every token seen: 2 · G · A a token.
    public func stateElementCount(tokenCount: Int) -> Int {
        2 * groupCount * headSize * Self.bounded(tokenCount)
    }

    /// FLOPs of the scores and the weighted sum over all tokens seen and the new one: 4 · h · A a token.
    public func recurrentFLOPs(position: Int) -> Int {
        4 * headCount * headSize * (Self.bounded(position) + 1)
    }

    /// Tiles do the same work as all positions at once: this is the part within one tile, full squares.
    public func forwardFLOPsPerToken(chunkLength: Int) -> Int {
        4 * headCount * headSize * Self.bounded(chunkLength)
    }

    /// The backward pass computes the scores again: five products of tiles instead of two.
    public func backwardFLOPsPerToken(chunkLength: Int, recomputesStates: Bool) -> Int {
        10 * headCount * headSize * Self.bounded(chunkLength)
    }

    /// Lengths beyond any sequence count as 2^36, so that products of them do not overflow.
    private static func bounded(_ length: Int) -> Int { min(max(0, length), 1 << 36) }
}
