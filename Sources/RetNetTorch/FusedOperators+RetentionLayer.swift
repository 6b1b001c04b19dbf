import CRetNetTorch

extension FusedOperators {
    /// Everything of a layer of retention but its input, its state and its output matrix.
    public struct RetentionLayer {
        /// Weights of queries and keys [H·A, D] and of values [H·V, D].
        public var query, key, value: Tensor
        /// The weight of the gate [H·V, D]; nil for none.
        public var gate: Tensor?
        /// Cosines and sines of positions [B or 1, T, A/2]; nil for no rotation.
        public var cosine, sine: Tensor?
        /// True for neighboring channels as pairs, false for the halves of a head.
        public var interleaved: Bool
        /// The factor of keys.
        public var keyScale: Double
        /// Epsilons of the head norm: [B or 1, H, T], or a single one.
        public var epsilons: Tensor
        /// The least epsilon per squared sum of scores, where scores are normalized by the absolute value of their sum; nil where
        /// they are not.
        public var sumEpsilon: Double?
        /// The decayed sum of earlier keys [B, H, A] for those sums; nil for zeros.
        public var keySum: Tensor?
        /// Weight and bias of the head norm [H·V].
        public var normWeight, normBias: Tensor?
        /// The statistics of the head norm.
        public var norm: NormKind
        /// The activation of the gate.
        public var activation: Activation
        /// ln γ of every head.
        public var logGammas: [Double]
        /// Positions of a chunk.
        public var chunkLength: Int

        /// All of it.
        public init(
            query: Tensor, key: Tensor, value: Tensor, gate: Tensor?, cosine: Tensor?, sine: Tensor?,
            interleaved: Bool, keyScale: Double, epsilons: Tensor, sumEpsilon: Double? = nil,
            keySum: Tensor? = nil, normWeight: Tensor?, normBias: Tensor?, norm: NormKind,
            activation: Activation, logGammas: [Double], chunkLength: Int
        ) {
            self.query = query
            self.key = key
            self.value = value
            self.gate = gate
            self.cosine = cosine
            self.sine = sine
            self.interleaved = interleaved
            self.keyScale = keyScale
            self.epsilons = epsilons
            self.sumEpsilon = sumEpsilon
            self.keySum = keySum
            self.normWeight = normWeight
            self.normBias = normBias
            self.norm = norm
            self.activation = activation
            self.logGammas = logGammas
            self.chunkLength = chunkLength
        }
    }

    /// True if a kernel runs whole layers of retention over x [B, T, D] here: with enough rows, and a head for every thread.
    public static func runsRetentionLayer(_ x: Tensor, headCount: Int) -> Bool {
        ct_runs_retention_layer(x.handle, Int32(clamping: headCount))
    }

    /// Runs a layer of retention up to its output matrix: x [B, T, D] → [B, T, H·V], the next state and, with
    /// ``RetentionLayer/sumEpsilon``, the next sum of keys, which has no gradients.
    ///
    /// One product for queries, keys, values and the gate; rotation, retention, head norm and gate in tiles that stay in the
    /// cache. Throws where ``runsRetentionLayer(_:headCount:)`` is false. Without `keepsState` state and sum have no elements.
    public static func retentionLayer(
        _ x: Tensor, _ layer: RetentionLayer, state: Tensor?, keepsState: Bool
    ) throws -> (output: Tensor, state: Tensor, keySum: Tensor?) {
        var out: ct_tensor?
        var next: ct_tensor?
        var nextSum: ct_tensor?
        try layer.logGammas.withUnsafeBufferPointer { logGammas in
            var options = ct_retention_layer_options()
            options.query = layer.query.handle
            options.key = layer.key.handle
            options.value = layer.value.handle
            options.gate = layer.gate?.handle
            options.cosine = layer.cosine?.handle
            options.sine = layer.sine?.handle
            options.interleaved = layer.interleaved
            options.key_scale = layer.keyScale
            options.epsilons = layer.epsilons.handle
            options.norm_weight = layer.normWeight?.handle
            options.norm_bias = layer.normBias?.handle
            options.norm = layer.norm.code
            options.activation = layer.activation.code
            options.sum_epsilon = layer.sumEpsilon ?? 0
            options.key_sum = layer.keySum?.handle
            options.log_gammas = logGammas.baseAddress
            options.heads = Int32(clamping: layer.logGammas.count)
            options.chunk = Int64(layer.chunkLength)
            let status =
                keepsState
                ? ct_retention_layer(&out, &next, &nextSum, x.handle, state?.handle, &options)
                : ct_retention_layer(&out, nil, nil, x.handle, state?.handle, &options)
            try check(status)
        }
        guard let out else { throw TorchError(kind: .other, message: "the layer returned no tensor") }
        let output = Tensor(owning: out)
        if let next { return (output, Tensor(owning: next), nextSum.map { Tensor(owning: $0) }) }
        func nothing(_ shape: [Int]) throws -> Tensor {
            try Tensor.zeros(
                [x.size(0), layer.logGammas.count] + shape, x.elementType.accumulator, on: x.device)
        }
        return (output, try nothing([0, 0]), try layer.sumEpsilon.map { _ in try nothing([0]) })
    }
}
