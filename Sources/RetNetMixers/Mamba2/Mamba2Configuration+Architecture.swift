import RetNetLayers

extension Mamba2Configuration: MixerSpecification {
    /// A ``Mamba2``.
    public func makeMixer(_ scope: ParameterScope, _ context: LayerContext) throws -> any TokenMixer {
        try Mamba2(scope, self, context)
    }

    var layout: MatrixStateLayout {
        MatrixStateLayout(
            mixer: "mamba2", memory: [headCount, stateSize, headSize],
            rings: convolutionWidth > 1 ? [("ring", [convolutionWidth - 1, convolvedSize])] : [])
    }

    private var convolutionFLOPs: Int { convolutionWidth > 1 ? 2 * convolutionWidth * convolvedSize : 0 }

    /// H · N · P, and the ring of the convolution.
    public func stateElementCount(tokenCount: Int) -> Int { layout.elementCount }

    /// 4 · H · N · P for reading and writing the state, and the convolution.
    public func recurrentFLOPs(position: Int) -> Int {
        4 * headCount * stateSize * headSize + convolutionFLOPs
    }

    /// 2CNG + 2CPH + 4HNP: a group's scores are made once.
    public func forwardFLOPsPerToken(chunkLength: Int) -> Int {
        2 * MatrixCosts.bounded(chunkLength) * (stateSize * groupCount + innerSize)
            + recurrentFLOPs(position: 0)
    }

    /// 2C(3NG + 2PH) + 10HNP.
    public func backwardFLOPsPerToken(chunkLength: Int, recomputesStates: Bool) -> Int {
        2 * MatrixCosts.bounded(chunkLength) * (3 * stateSize * groupCount + 2 * innerSize)
            + (recomputesStates ? 12 : 10) * headCount * stateSize * headSize + 2 * convolutionFLOPs
    }
}
