import CRetNetTorch

extension FusedOperators {
    /// S = a S + kᵀ v, o = q S in chunks, with a gate per head and position.
    ///
    /// q, k [B, G, T, K] are shared by the H / G heads of a group; v [B, H, T, V], ln a [B, H, T], state
    /// [B, H, K, V] or nil. Returns [B, H, T, V] in the type of v and the last state in float32 or float64, or nil if the
    /// device's kernel does not take these sizes.
    public static func gatedRetention(
        query: Tensor, key: Tensor, value: Tensor, logGates: Tensor, state: Tensor?, chunkLength: Int
    ) throws -> (output: Tensor, state: Tensor)? {
        try optionalPair {
            ct_gated_retention(
                $0, $1, query.handle, key.handle, value.handle, logGates.handle, state?.handle,
                Int64(chunkLength))
        }
    }

    /// S = diag(a) S + kᵀ v, o = q S in chunks of at most 16, with a gate per key channel: ln a [B, H, T, K].
    public static func channelGatedRetention(
        query: Tensor, key: Tensor, value: Tensor, logGates: Tensor, state: Tensor?, chunkLength: Int
    ) throws -> (output: Tensor, state: Tensor) {
        try pair {
            ct_channel_gated_retention(
                $0, $1, query.handle, key.handle, value.handle, logGates.handle, state?.handle,
                Int64(chunkLength))
        }
    }

    /// S = a S + β kᵀ (v - a k S), o = q S in chunks of at most 64; ln a [B, H, T] or nil, β [B, H, T].
    ///
    /// With `trains` products with states are made in 16 bits where values have them.
    public static func deltaRule(
        query: Tensor, key: Tensor, value: Tensor, logGates: Tensor?, beta: Tensor, state: Tensor?,
        chunkLength: Int, trains: Bool = false
    ) throws -> (output: Tensor, state: Tensor) {
        try pair {
            ct_delta_rule(
                $0, $1, query.handle, key.handle, value.handle, logGates?.handle, beta.handle,
                state?.handle, Int64(chunkLength), trains)
        }
    }

    /// Any of the three position by position without gradients; overwrites `state`, which must be contiguous.
    public static func matrixRecurrence(
        query: Tensor, key: Tensor, value: Tensor, logGates: Tensor?, beta: Tensor?, state: Tensor
    ) throws -> Tensor {
        try Tensor.make {
            ct_matrix_recurrence(
                $0, query.handle, key.handle, value.handle, logGates?.handle, beta?.handle, state.handle)
        }
    }

    private static func pair(
        _ body: (UnsafeMutablePointer<ct_tensor?>, UnsafeMutablePointer<ct_tensor?>) -> ct_status
    ) throws -> (output: Tensor, state: Tensor) {
        guard let pair = try optionalPair(body) else {
            throw TorchError(kind: .other, message: "the operator returned no tensor")
        }
        return pair
    }

    private static func optionalPair(
        _ body: (UnsafeMutablePointer<ct_tensor?>, UnsafeMutablePointer<ct_tensor?>) -> ct_status
    ) throws -> (output: Tensor, state: Tensor)? {
        var out: ct_tensor?
        var next: ct_tensor?
        try check(body(&out, &next))
        guard let out, let next else { return nil }
        return (Tensor(owning: out), Tensor(owning: next))
    }
}
