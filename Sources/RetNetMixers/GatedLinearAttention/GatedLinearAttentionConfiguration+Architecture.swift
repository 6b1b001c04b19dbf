import RetNetLayers

extension GatedLinearAttentionConfiguration: MixerSpecification {
    /// A ``GatedLinearAttention``.
    public func makeMixer(_ scope: ParameterScope, _ context: LayerContext) throws -> any TokenMixer {
        try GatedLinearAttention(scope, self, context)
    }

    /// H · K · V, whatever was seen.
    public func stateElementCount(tokenCount: Int) -> Int { headCount * keySize * valueSize }

    /// 4 · H · K · V for reading and writing the state.
    public func recurrentFLOPs(position: Int) -> Int { 4 * headCount * keySize * valueSize }

    /// 2C(K+V)H + 4KVH with chunks of at most ``MatrixRecurrence/channelChunkLength``.
    public func forwardFLOPsPerToken(chunkLength: Int) -> Int {
        MatrixCosts.chunkwise(
            min(chunkLength, MatrixRecurrence.channelChunkLength), headCount: headCount, keySize: keySize,
            valueSize: valueSize)
    }

    /// 2C(3K+2V)H + 8KVH with chunks of at most ``MatrixRecurrence/channelChunkLength``.
    public func backwardFLOPsPerToken(chunkLength: Int, recomputesStates: Bool) -> Int {
        MatrixCosts.backward(
            min(chunkLength, MatrixRecurrence.channelChunkLength), headCount: headCount, keySize: keySize,
            valueSize: valueSize, recomputesStates: recomputesStates)
    }
}
