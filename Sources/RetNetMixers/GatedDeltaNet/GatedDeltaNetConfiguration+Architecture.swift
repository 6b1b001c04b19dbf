import RetNetLayers

extension GatedDeltaNetConfiguration: MixerSpecification {
    /// The projections with convolutions: their names and widths.
    var convolved: [(name: String, size: Int)] {
        [("query", headCount * keySize), ("key", headCount * keySize), ("value", headCount * valueSize)]
    }

    /// A ``GatedDeltaNet``.
    public func makeMixer(_ scope: ParameterScope, _ context: LayerContext) throws -> any TokenMixer {
        try GatedDeltaNet(scope, self, context)
    }

    var layout: MatrixStateLayout {
        MatrixStateLayout(
            mixer: "gated_delta_net", memory: [headCount, keySize, valueSize],
            rings: convolutionWidth > 1
                ? convolved.map { ("\($0.name)_ring", [convolutionWidth - 1, $0.size]) } : [])
    }

    /// Chunks of 64, which the system to be solved suits best.
    public var trainingForm: MixerForm { .chunkwise(MatrixRecurrence.deltaChunkLength) }

    private var memorySize: Int { headCount * keySize * valueSize }
    private var convolutionFLOPs: Int {
        convolutionWidth > 1 ? 2 * convolutionWidth * headCount * (2 * keySize + valueSize) : 0
    }

    /// H · K · V, and the rings of the convolutions.
    public func stateElementCount(tokenCount: Int) -> Int { layout.elementCount }

    /// 6 · H · K · V for asking, writing and reading the state, and the convolutions.
    public func recurrentFLOPs(position: Int) -> Int { 6 * memorySize + convolutionFLOPs }

    /// 2C(2K+1.5V)H + 6KVH: scores of keys and queries, half a square to solve, and the written values.
    public func forwardFLOPsPerToken(chunkLength: Int) -> Int {
        let chunk = min(MatrixCosts.bounded(chunkLength), MatrixRecurrence.deltaChunkLength)
        return chunk * headCount * (4 * keySize + 3 * valueSize) + 6 * memorySize + convolutionFLOPs
    }

    /// 2C(7K+3.5V)H + 14KVH: twice the forward pass, and its scores again.
    public func backwardFLOPsPerToken(chunkLength: Int, recomputesStates: Bool) -> Int {
        let chunk = min(MatrixCosts.bounded(chunkLength), MatrixRecurrence.deltaChunkLength)
        return chunk * headCount * (14 * keySize + 7 * valueSize)
            + (recomputesStates ? 16 : 14) * memorySize + 2 * convolutionFLOPs
    }
}
