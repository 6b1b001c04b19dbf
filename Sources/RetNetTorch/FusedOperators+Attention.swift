import CRetNetTorch

extension FusedOperators {
    /// Causal softmax attention in memory O(T · d), differentiable.
    ///
    /// query [B, H, T, A], key [B, G, N, A], value [B, G, N, V] with any strides; G divides H, and query head j reads
    /// head ⌊j·G/H⌋. Query t of row b sees the keys 0 … past[b] + t; a single past stands for all rows. `tileLength`
    /// keys are scored at once, at most 512. Returns [B, H, T, V] in the memory order [B, T, H, V]. Source:
    /// FlashAttention (arXiv 2205.14135 and 2307.08691).
    public static func attention(
        query: Tensor, key: Tensor, value: Tensor, past: [Int], scale: Double, tileLength: Int
    ) throws -> Tensor {
        try withSizes(past) { past, count in
            try Tensor.make {
                ct_attention(
                    $0, query.handle, key.handle, value.handle, past, count, scale, Int64(tileLength))
            }
        }
    }

    /// The same as ``attention(query:key:value:past:scale:tileLength:)`` one query at a time, without gradients.
    ///
    /// A query costs O(N · d); a head of keys and values is read once for all its query heads, and never copied.
    public static func attentionSteps(query: Tensor, key: Tensor, value: Tensor, past: [Int], scale: Double)
        throws -> Tensor
    {
        try withSizes(past) { past, count in
            try Tensor.make {
                ct_attention_steps($0, query.handle, key.handle, value.handle, past, count, scale)
            }
        }
    }
}
