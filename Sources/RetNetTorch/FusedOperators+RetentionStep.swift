import CRetNetTorch

extension FusedOperators {
    /// A step of a layer of retention, from its projections to what its output matrix gets.
    ///
    /// B batch, H heads, G groups of heads that share keys and values, A key size, V value size.
    public struct RetentionLayerStep {
        /// [B, 1, H·A], [B, 1, G·A] and [B, 1, G·V].
        public var query, key, value: Tensor
        /// [B, 1, H·V], or nil.
        public var gate: Tensor?
        /// Cosines and sines [B or 1, 1, A/2] of the positions, or nil.
        public var cosine, sine: Tensor?
        /// True if pairs to rotate are neighboring channels, not halves of a head.
        public var interleaved: Bool
        /// The factor of keys.
        public var keyScale: Double
        /// The epsilon of each head, [B or 1, H, 1], or one number.
        public var epsilons: Tensor
        /// [H·V], or nil.
        public var normWeight, normBias: Tensor?
        /// The norm of heads.
        public var norm: NormKind
        /// The activation of the gate.
        public var activation: Activation
        /// ln γ of every head.
        public var logGammas: [Double]
        /// G.
        public var groupCount: Int

        /// A step of these parts.
        public init(
            query: Tensor, key: Tensor, value: Tensor, gate: Tensor?, cosine: Tensor?, sine: Tensor?,
            interleaved: Bool, keyScale: Double, epsilons: Tensor, normWeight: Tensor?, normBias: Tensor?,
            norm: NormKind, activation: Activation, logGammas: [Double], groupCount: Int
        ) {
            (self.query, self.key, self.value, self.gate) = (query, key, value, gate)
            (self.cosine, self.sine, self.interleaved, self.keyScale) = (cosine, sine, interleaved, keyScale)
            (self.epsilons, self.normWeight, self.normBias) = (epsilons, normWeight, normBias)
            (self.norm, self.activation, self.logGammas) = (norm, activation, logGammas)
            self.groupCount = groupCount
        }
    }

    /// True if such steps have a kernel for elements like those of x on its device.
    public static func runsRetentionLayerStep(like x: Tensor) -> Bool { ct_runs_retention_decode(x.handle) }

    /// Runs a step without gradients from a state [B, H, A, V]; returns [B, 1, H·V] and the next state, or nil if the kernel does
    /// not take these sizes.
    ///
    /// With `inPlace` the given state is overwritten and returned.
    public static func retentionLayerStep(_ step: RetentionLayerStep, state: Tensor, inPlace: Bool) throws
        -> (
            output: Tensor, state: Tensor
        )?
    {
        var out: ct_tensor?
        var next: ct_tensor?
        try step.logGammas.withUnsafeBufferPointer { logGammas in
            var options = ct_retention_decode_options(
                query: step.query.handle, key: step.key.handle, value: step.value.handle,
                gate: step.gate?.handle,
                cosine: step.cosine?.handle, sine: step.sine?.handle, interleaved: step.interleaved,
                key_scale: step.keyScale, epsilons: step.epsilons.handle,
                norm_weight: step.normWeight?.handle,
                norm_bias: step.normBias?.handle, norm: step.norm.code, activation: step.activation.code,
                log_gammas: logGammas.baseAddress, heads: Int32(clamping: step.logGammas.count),
                groups: Int32(clamping: step.groupCount))
            try check(ct_retention_decode(&out, &next, state.handle, inPlace, &options))
        }
        guard let out, let next else { return nil }
        return (Tensor(owning: out), inPlace ? state : Tensor(owning: next))
    }
}
