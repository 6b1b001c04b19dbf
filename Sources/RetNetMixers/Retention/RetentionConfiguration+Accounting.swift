import RetNetLayers

extension RetentionConfiguration: MixerSpecification {
    /// Gated multi-scale retention of these sizes.
    public func makeMixer(_ scope: ParameterScope, _ context: LayerContext) throws -> any TokenMixer {
        try MultiScaleRetention(scope, self, context)
    }

    /// Decays and rotations are those of the positions between.
    public var honoursPositionStride: Bool { true }

    /// Only the sum of absolute scores cannot be carried in a state.
    public func unsupportedReason(for form: MixerForm) -> String? {
        guard normalization == .decaySumAbs, form != .parallel else { return nil }
        return "normalization 'decay_sum_abs' needs every past key, which only the parallel form has;"
            + " use the normalization 'decay' or 'decay_abs_sum', or the form 'parallel'"
    }

    /// Numbers in the memory S of one sequence: h · a · b.
    public var memoryElementCount: Int { headCount * keySize * valueSize }

    /// Numbers that the state keeps beside S for the score normalisation: h · a with `decay_abs_sum`.
    public var normalizerElementCount: Int { normalization == .decayAbsSum ? headCount * keySize : 0 }

    /// S and the normaliser, whatever the number of tokens.
    public func stateElementCount(tokenCount: Int) -> Int { memoryElementCount + normalizerElementCount }

    /// FLOPs for reading and updating S, without projections, at any position: 4 · a · b · h.
    public func recurrentFLOPs(position: Int) -> Int { 4 * memoryElementCount }

    /// FLOPs of a position of the chunkwise form, without projections, full squares: 2C(a+b)h + 4abh.
    ///
    /// Chunks longer than 2^20 count as 2^20.
    public func forwardFLOPsPerToken(chunkLength: Int) -> Int {
        2 * Self.bounded(chunkLength) * (keySize + valueSize) * headCount + 4 * memoryElementCount
    }

    /// FLOPs of a position of the chunkwise form's backward pass: 2C(3a+2b)h + 8abh.
    ///
    /// Computing the states again instead of keeping them costs 2abh more.
    public func backwardFLOPsPerToken(chunkLength: Int, recomputesStates: Bool) -> Int {
        2 * Self.bounded(chunkLength) * (3 * keySize + 2 * valueSize) * headCount
            + (recomputesStates ? 10 : 8) * memoryElementCount
    }

    private static func bounded(_ chunkLength: Int) -> Int { min(max(1, chunkLength), 1 << 20) }
}
