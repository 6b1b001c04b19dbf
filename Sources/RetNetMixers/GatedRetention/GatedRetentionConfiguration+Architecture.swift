import RetNetLayers

extension GatedRetentionConfiguration: MixerSpecification {
    /// A ``GatedRetention``.
    public func makeMixer(_ scope: ParameterScope, _ context: LayerContext) throws -> any TokenMixer {
        try GatedRetention(scope, self, context)
    }

    /// H · K · V, whatever was seen.
    public func stateElementCount(tokenCount: Int) -> Int { headCount * keySize * valueSize }

    /// 4 · H · K · V for reading and writing the state.
    public func recurrentFLOPs(position: Int) -> Int { 4 * headCount * keySize * valueSize }

    /// 2C(K+V)H + 4KVH.
    public func forwardFLOPsPerToken(chunkLength: Int) -> Int {
        MatrixCosts.chunkwise(chunkLength, headCount: headCount, keySize: keySize, valueSize: valueSize)
    }

    /// 2C(3K+2V)H + 8KVH.
    public func backwardFLOPsPerToken(chunkLength: Int, recomputesStates: Bool) -> Int {
        MatrixCosts.backward(
            chunkLength, headCount: headCount, keySize: keySize, valueSize: valueSize,
            recomputesStates: recomputesStates)
    }
}
