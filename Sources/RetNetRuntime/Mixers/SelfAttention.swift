import Foundation
import RetNetArchitecture
import RetNetKernels

/// Causal multi-head self-attention over a cache of keys and values: the Transformer's mixer.
///
///     Q = X W_Q     K = X W_K     V = X W_V     rotate Q and K by absolute position
///     headⱼ = softmax(Qⱼ Kᵀ / √A, causal) V     one head of K and V for every H/G heads of Q
///     Y = (head₁ … head_H) W_O
struct SelfAttention: RuntimeMixer {
    private let c: AttentionConfiguration
    private let query: Matrix
    private let key: Matrix
    private let value: Matrix
    private let output: Matrix
    private let rotary: Rotary
    private let cache: Int
    private let stateType: StateElementType

    init(_ builder: inout ModelBuilder, _ c: AttentionConfiguration, _ place: MixerPlace) throws {
        if c.xPosScaleBase != nil, c.rotation != .none {
            throw RuntimeError.unsupported(part: "attention with xPos")
        }
        self.c = c
        let (width, groupWidth) = (c.headCount * c.headSize, c.groupCount * c.headSize)
        query = try builder.linear("query", from: place.hiddenSize, to: width, bias: c.biases)
        key = try builder.linear("key", from: place.hiddenSize, to: groupWidth, bias: c.biases)
        value = try builder.linear("value", from: place.hiddenSize, to: groupWidth, bias: c.biases)
        output = try builder.linear(
            "output", from: width, to: place.hiddenSize, bias: c.outputBiases ?? c.biases)
        rotary = builder.rotary(
            angles: c.angles.map { $0 * Double(place.positionStride) },
            isInterleaved: c.rotation == .interleaved)
        cache = try builder.state.cache()
        stateType = builder.state.type
    }

    func mix(_ x: Rows, _ pass: Pass) -> Rows {
        var products = Products(x, pass)
        let (xq, xk, xv) = (products.add(query), products.add(key), products.add(value))
        products.run()
        let q = pass.rotate(xq, heads: c.headCount, by: rotary)
        let k = pass.rotate(xk, heads: c.groupCount, by: rotary)
        let caches = append(k, xv, pass)
        let heads = pass.rows(q.width, count: q.count)
        var attention = rn_attention(
            heads: Int64(c.headCount), cache_heads: Int64(c.groupCount), head_size: Int64(c.headSize),
            cache_type: stateType.kernel, scale: Float(1 / Double(c.headSize).squareRoot()), query: q.data,
            query_stride: Int64(q.stride), output: heads.data, output_stride: Int64(heads.stride))
        let scratch = pass.workspace.bytes(Int(rn_attend_scratch(pass.pool, &attention)))
        rn_attend(pass.pool, &attention, caches, Int64(pass.segmentCount), scratch)
        return pass.multiply(heads, output)
    }

    /// Adds the keys and values of every segment to its cache.
    private func append(_ k: Rows, _ v: Rows, _ pass: Pass) -> UnsafePointer<rn_cache> {
        let caches = pass.workspace.bytes(pass.segmentCount * MemoryLayout<rn_cache>.stride)
            .bindMemory(to: rn_cache.self, capacity: pass.segmentCount)
        for index in 0..<pass.segmentCount {
            let rows = pass.segments[index]
            let storage = pass.storages[index]
            let past = storage.caches[cache].count
            storage.append(
                cache: cache, keys: k.data + rows.lowerBound * k.stride,
                values: v.data + rows.lowerBound * v.stride,
                rows: rows.count, pass.pool)
            let own = storage.caches[cache]
            caches[index] = rn_cache(
                keys: own.keys, values: own.values, head_stride: Int64(own.headStride),
                first: Int64(rows.lowerBound), count: Int64(rows.count), past: Int64(past))
        }
        return UnsafePointer(caches)
    }
}
