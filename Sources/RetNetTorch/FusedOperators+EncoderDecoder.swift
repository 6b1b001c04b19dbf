import CRetNetTorch

extension FusedOperators {
    /// Attention with a bias of distances and without scaling of scores, as in T5.
    ///
    /// `x` [B, T, 3·H·A] packs queries, keys and values; with `memory` [B, Tk, 2·H·A] for keys and values it is the
    /// queries [B, Tq, H·A] alone. `bias` [H, Tq+Tk-1] has the bias of key j and query i at j - i + Tq - 1. Segments
    /// (int32 [B, Tq] and [B, Tk]; nil counts as 1 everywhere) let queries see only keys of their own segment, and 0
    /// is padding, which sees nothing. `keep` [B, H, Tq or 1, Tk] multiplies probabilities. Returns [B, Tq, H·A].
    public static func biasedAttention(
        _ x: Tensor, memory: Tensor? = nil, bias: Tensor? = nil, querySegments: Tensor? = nil,
        keySegments: Tensor? = nil, keep: Tensor? = nil, headCount: Int, causal: Bool
    ) throws -> Tensor {
        try Tensor.make {
            ct_distance_attention(
                $0, x.handle, memory?.handle, bias?.handle, querySegments?.handle, keySegments?.handle,
                keep?.handle, Int32(clamping: headCount), causal)
        }
    }

    /// One query per row over the first `count` entries of caches [N, H, C, A], without gradients.
    ///
    /// q [B, H·A] → [B, H·A]; rows b·B/N ..< (b+1)·B/N read cache b. `bias` is [H, count]; keys count whose segment,
    /// int32 [N, count], is 1.
    public static func biasedAttentionStep(
        _ query: Tensor, keys: Tensor, values: Tensor, bias: Tensor? = nil, keySegments: Tensor? = nil,
        count: Int
    ) throws -> Tensor {
        try Tensor.make {
            ct_distance_attention_step(
                $0, query.handle, keys.handle, values.handle, bias?.handle, keySegments?.handle, Int64(count))
        }
    }
}

extension Tensor {
    /// The largest elements of an axis, largest first, with their int64 indices.
    public func largest(_ count: Int, axis: Int) throws -> (values: Tensor, indices: Tensor) {
        var values: ct_tensor?
        var indices: ct_tensor?
        try check(ct_topk(&values, &indices, handle, Int64(count), Int64(axis)))
        guard let values, let indices else {
            throw TorchError(kind: .other, message: "topk returned no tensor")
        }
        return (Tensor(owning: values), Tensor(owning: indices))
    }
}
