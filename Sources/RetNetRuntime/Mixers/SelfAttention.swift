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
        let heads = pass.attend(
            q, to: pass.append(k, xv, cache: cache),
            heads: (query: c.headCount, cache: c.groupCount, size: c.headSize), type: stateType,
            scale: 1 / Double(c.headSize).squareRoot())
        return pass.multiply(heads, output)
    }
}

// MARK: Attention over caches

extension Pass {
    /// Adds the keys and values of every segment to a cache of its state; returns the caches, for the kernel.
    func append(_ k: Rows, _ v: Rows, cache: Int) -> UnsafePointer<rn_cache> {
        for index in 0..<segmentCount {
            let rows = segments[index]
            storages[index].append(
                cache: cache, keys: k.data + rows.lowerBound * k.stride,
                values: v.data + rows.lowerBound * v.stride, rows: rows.count, pool)
        }
        return caches { index in
            let own = storages[index].caches[cache]
            return (own, past: own.count - segments[index].count, seen: 0)
        }
    }

    /// Returns the caches that the rows of every segment read, for the kernel.
    ///
    /// `past` is the place of the first row; `seen` above 0 is the number of keys that all rows see.
    func caches(_ cache: (_ segment: Int) -> (KeyValueCache, past: Int, seen: Int)) -> UnsafePointer<rn_cache>
    {
        let caches = workspace.bytes(segmentCount * MemoryLayout<rn_cache>.stride)
            .bindMemory(to: rn_cache.self, capacity: segmentCount)
        for index in 0..<segmentCount {
            let (own, past, seen) = cache(index)
            caches[index] = rn_cache(
                keys: own.keys, values: own.values, head_stride: Int64(own.headStride),
                first: Int64(segments[index].lowerBound), count: Int64(segments[index].count),
                past: Int64(past), seen: Int64(seen))
        }
        return UnsafePointer(caches)
    }

    /// Returns softmax(scale · q Kᵀ + bias) V over the keys of caches, [rows, heads · size].
    func attend(
        _ q: Rows, to caches: UnsafePointer<rn_cache>, heads: (query: Int, cache: Int, size: Int),
        type: StateElementType, scale: Double, bias: BiasTable? = nil
    ) -> Rows {
        let output = rows(q.width, count: q.count)
        var attention = rn_attention(
            heads: Int64(heads.query), cache_heads: Int64(heads.cache), head_size: Int64(heads.size),
            cache_type: type.kernel, scale: Float(scale), query: q.data, query_stride: Int64(q.stride),
            output: output.data, output_stride: Int64(output.stride),
            bias: bias.map { UnsafePointer($0.data) },
            bias_reach: Int64(bias?.reach ?? 0))
        let scratch = workspace.bytes(Int(rn_attend_scratch(pool, &attention)))
        rn_attend(pool, &attention, caches, Int64(segmentCount), scratch)
        return output
    }
}
