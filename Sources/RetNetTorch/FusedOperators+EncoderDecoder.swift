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

    /// RMS norm of the stream x + branch in one pass, and the stream itself, which is x without a branch.
    ///
    /// The stream may be float32 where branch and result are bfloat16.
    public static func residualNorm(
        _ x: Tensor, adding branch: Tensor? = nil, weight: Tensor, epsilon: Double, as type: ElementType
    ) throws -> (normed: Tensor, stream: Tensor) {
        var out: ct_tensor?
        var sum: ct_tensor?
        try check(
            ct_residual_norm(&out, &sum, x.handle, branch?.handle, weight.handle, epsilon, type.code))
        guard let out else { throw TorchError(kind: .other, message: "the norm returned no tensor") }
        return (Tensor(owning: out), sum.map { Tensor(owning: $0) } ?? x)
    }

    /// The stream x + branch in the type of x.
    public static func residualAdd(_ x: Tensor, _ branch: Tensor) throws -> Tensor {
        try Tensor.make { ct_residual_add($0, x.handle, branch.handle) }
    }

    /// Cross entropies and logarithms of normalisers, both [N] and differentiable, of logits [N, V] in one pass.
    ///
    /// The loss is 0 where the int64 target is -100; throws when a target is outside the vocabulary.
    public static func tokenLosses(_ logits: Tensor, targets: Tensor) throws -> (
        losses: Tensor, logNormalizers: Tensor
    ) {
        var losses: ct_tensor?
        var logSums: ct_tensor?
        try check(ct_token_loss(&losses, &logSums, logits.handle, targets.handle))
        guard let losses, let logSums else {
            throw TorchError(kind: .other, message: "the loss returned no tensor")
        }
        return (Tensor(owning: losses), Tensor(owning: logSums))
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
