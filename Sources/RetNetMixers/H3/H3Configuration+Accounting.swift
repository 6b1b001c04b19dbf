import RetNetLayers

extension H3Configuration: MixerSpecification {
    /// H3 of these sizes.
    public func makeMixer(_ scope: ParameterScope, _ context: LayerContext) throws -> any TokenMixer {
        try H3Mixer(scope, self, context)
    }

    /// Numbers in the modes of one sequence: H P² N.
    public var memoryElementCount: Int { channelCount * headSize * stateSize }

    /// H P² N modes and W-1 past keys, whatever the number of tokens.
    public func stateElementCount(tokenCount: Int) -> Int {
        memoryElementCount + (shiftSize - 1) * channelCount
    }

    /// 16 a complex mode, 2 W a channel for the shift, and the products and sums of all pairs.
    public func recurrentFLOPs(position: Int) -> Int {
        8 * memoryElementCount + channelCount * (2 * shiftSize + 5 * headSize)
    }

    /// 4 N P² into the state and out of it and (4 P + 1) C of products a head, and the shift.
    public func forwardFLOPsPerToken(chunkLength: Int) -> Int {
        let chunk = min(max(1, chunkLength), 1 << 20)
        return 4 * memoryElementCount + headCount * (4 * headSize + 1) * chunk + 2 * channelCount * shiftSize
    }

    /// Three times the forward pass, which computes the states again.
    public func backwardFLOPsPerToken(chunkLength: Int, recomputesStates: Bool) -> Int {
        3 * forwardFLOPsPerToken(chunkLength: chunkLength)
    }
}
