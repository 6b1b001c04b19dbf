import RetNetLayers

extension LinearAttentionConfiguration: MixerSpecification {
    /// Linear attention of these sizes.
    public func makeMixer(_ scope: ParameterScope, _ context: LayerContext) throws -> any TokenMixer {
        try LinearAttentionLayer(scope, self, context)
    }

    /// S and, with the normaliser `sum`, z: h · a² + h · a.
    public func stateElementCount(tokenCount: Int) -> Int {
        headCount * headSize * (headSize + (normalizer == .sum ? 1 : 0))
    }

    /// 4 h a² for reading and updating S, and 3 h a for z.
    public func recurrentFLOPs(position: Int) -> Int {
        headCount * headSize * (4 * headSize + (normalizer == .sum ? 3 : 0))
    }

    /// As retention with keys and values of one width: 4 C a h + 4 a² h, and 3 h a for z.
    public func forwardFLOPsPerToken(chunkLength: Int) -> Int {
        4 * Self.bounded(chunkLength) * width + recurrentFLOPs(position: 0)
    }

    /// As retention with keys and values of one width: 10 C a h + 8 a² h; states computed again cost 2 a² h more.
    public func backwardFLOPsPerToken(chunkLength: Int, recomputesStates: Bool) -> Int {
        10 * Self.bounded(chunkLength) * width + (recomputesStates ? 10 : 8) * width * headSize
    }

    private static func bounded(_ chunkLength: Int) -> Int { min(max(1, chunkLength), 1 << 20) }
}
