import CRetNetTorch

extension FusedOperators {
    /// AltUp's predict and correct in one pass over K blocks of one shape, K reads and one of the layer's output.
    ///
    ///     x_newⁱ = Σⱼ pᵢⱼ xʲ + gᵢ (y - Σⱼ pₐⱼ xʲ)
    ///
    /// y is the layer's output for the active block a, p is [K, K], g is [K]. Source: AltUp (arXiv 2301.13310).
    public static func altUpMix(
        _ blocks: [Tensor], layerOutput: Tensor, prediction: Tensor, correction: Tensor, active: Int
    ) throws -> [Tensor] {
        var outs = [ct_tensor?](repeating: nil, count: blocks.count)
        try withHandles(blocks) {
            try check(
                ct_altup_mix(
                    &outs, $0, Int32(clamping: blocks.count), layerOutput.handle, prediction.handle,
                    correction.handle, Int32(clamping: active)))
        }
        return outs.compactMap { $0.map { Tensor(owning: $0) } }
    }

    /// The prediction of the active block alone, Σⱼ pₐⱼ xʲ.
    public static func altUpPrediction(_ blocks: [Tensor], prediction: Tensor, active: Int) throws -> Tensor {
        try withHandles(blocks) { handles in
            try Tensor.make {
                ct_altup_predict(
                    $0, handles, Int32(clamping: blocks.count), prediction.handle, Int32(clamping: active))
            }
        }
    }

    /// Sums of tensors of one shape with constant weights, one row of them for each result.
    public static func combine(_ tensors: [Tensor], weights: [[Double]]) throws -> [Tensor] {
        guard weights.allSatisfy({ $0.count == tensors.count }) else {
            throw TorchError(kind: .value, message: "\(tensors.count) tensors need as many weights a sum")
        }
        let flat = weights.flatMap { $0 }
        var outs = [ct_tensor?](repeating: nil, count: weights.count)
        try withHandles(tensors) {
            try check(
                ct_combine(
                    &outs, Int32(clamping: weights.count), $0, Int32(clamping: tensors.count), flat))
        }
        return outs.compactMap { $0.map { Tensor(owning: $0) } }
    }

    /// The tokens x [B, T, D] after a Sequence-AltUp layer, given the layer's output for its anchors.
    ///
    /// Anchors stand at `first`, `first + stride`, …; `anchor` and `innovation` [B, D] are those before the first
    /// token, `coefficients` [3] are a₁, a₂ and b. Returns [B, T, D], and the last anchor and innovation in float32
    /// (float64 for float64 inputs). Source: AltUp (arXiv 2301.13310).
    public static func sequenceAltUp(
        _ x: Tensor, layerOutput: Tensor?, anchor: Tensor?, innovation: Tensor?, coefficients: Tensor,
        first: Int, stride: Int
    ) throws -> (output: Tensor, anchor: Tensor, innovation: Tensor) {
        var outs = [ct_tensor?](repeating: nil, count: 3)
        try outs.withUnsafeMutableBufferPointer { outs in
            guard let base = outs.baseAddress else { return }
            try check(
                ct_sequence_altup(
                    base, base + 1, base + 2, x.handle, layerOutput?.handle, anchor?.handle,
                    innovation?.handle, coefficients.handle, Int64(first), Int64(stride)))
        }
        let results = outs.compactMap { $0.map { Tensor(owning: $0) } }
        guard results.count == 3 else {
            throw TorchError(kind: .other, message: "the mix of groups returned no tensor")
        }
        return (results[0], results[1], results[2])
    }
}

extension Tensor {
    /// The same elements but for a range of one axis, which holds those of `source`.
    public func replacing(_ axis: Int, _ range: Range<Int>, by step: Int = 1, with source: Tensor) throws
        -> Tensor
    {
        try Tensor.make {
            ct_slice_scatter(
                $0, handle, source.handle, Int64(axis), Int64(range.lowerBound), Int64(range.upperBound),
                Int64(step))
        }
    }
}
