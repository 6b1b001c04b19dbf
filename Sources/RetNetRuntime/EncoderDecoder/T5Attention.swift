import RetNetArchitecture
import RetNetKernels

/// T5's attention, without biases in its products and without scaling of scores (arXiv 1910.10683, section 2.1).
///
///     Q = X W_Q     K = Z W_K     V = Z W_V        Z the rows X themselves, or the encoder's output
///     headⱼ = softmax(Qⱼ Kⱼᵀ + Bⱼ) Vⱼ              B by the distance from query to key, where Z is X
///     Y = (head₁ … head_H) W_O
struct T5Attention {
    private let query: Matrix
    private let key: Matrix
    private let value: Matrix
    private let output: Matrix
    private let heads: (query: Int, cache: Int, size: Int)

    /// Takes `q`, `k`, `v` and `o` under a name; the rows Z have the width `sourceWidth`.
    init(_ builder: inout ModelBuilder, _ name: String, _ c: T5Configuration, sourceWidth: Int) throws {
        let (d, width) = (c.hiddenSize, c.attentionSize)
        (query, key, value, output) = try builder.scope(name) { builder in
            (
                try builder.linear("q", from: d, to: width),
                try builder.linear("k", from: sourceWidth, to: width),
                try builder.linear("v", from: sourceWidth, to: width),
                try builder.linear("o", from: width, to: d)
            )
        }
        heads = (c.headCount, c.headCount, c.keySize)
    }

    /// Returns K and V of the rows Z.
    func keysAndValues(_ z: Rows, _ pass: Pass) -> (keys: Rows, values: Rows) {
        var products = Products(z, pass)
        defer { products.run() }
        return (products.add(key), products.add(value))
    }

    /// Returns Y of rows that attend to those before them, whose keys and values are in a cache, to which theirs are added.
    func callAsFunction(_ x: Rows, cache: Int, _ bias: BiasTable, _ pass: Pass) -> Rows {
        var products = Products(x, pass)
        let (q, k, v) = (products.add(query), products.add(key), products.add(value))
        products.run()
        let caches = pass.append(k, v, cache: cache)
        return mix(q, caches, pass.storages[0].layout.type, bias, pass)
    }

    /// Returns Y of rows that attend to all keys of caches.
    func callAsFunction(
        _ x: Rows, over caches: UnsafePointer<rn_cache>, _ type: StateElementType, _ bias: BiasTable?,
        _ pass: Pass
    ) -> Rows { mix(pass.multiply(x, query), caches, type, bias, pass) }

    private func mix(
        _ q: Rows, _ caches: UnsafePointer<rn_cache>, _ type: StateElementType, _ bias: BiasTable?,
        _ pass: Pass
    ) -> Rows {
        pass.multiply(pass.attend(q, to: caches, heads: heads, type: type, scale: 1, bias: bias), output)
    }
}

/// The learned biases of one side's attention within a sequence, by the distance from query to key; all layers share them.
struct PositionBias {
    /// The number of its table in a pass.
    let number: Int
    private let weight: UnsafePointer<Float>
    private let headCount: Int
    private let bucketCount: Int
    private let maximumDistance: Int
    private let isBidirectional: Bool

    /// Takes the table [buckets, heads] that the first layer of a side has.
    init(_ builder: inout ModelBuilder, _ c: T5Configuration, isDecoder: Bool) throws {
        let name = "block.0.layer.0.SelfAttention.relative_attention_bias.weight"
        weight = try builder.vector(name, c.bucketCount, c.headCount)
        number = isDecoder ? 1 : 0
        headCount = c.headCount
        bucketCount = c.bucketCount
        maximumDistance = c.maximumDistance
        isBidirectional = !isDecoder
    }

    /// Returns the biases for sequences of so many tokens.
    fileprivate func table(length: Int) -> BiasTable {
        // Beyond the largest distance there is one bucket.
        let reach = min(length - 1, maximumDistance)
        let table = BiasTable(headCount: headCount, reach: reach)
        for distance in -reach...reach {
            let bucket = T5RelativeBuckets.bucket(
                relative: distance, bidirectional: isBidirectional, bucketCount: bucketCount,
                maximumDistance: maximumDistance)
            for head in 0..<headCount {
                table.data[head * (2 * reach + 1) + reach + distance] = weight[bucket * headCount + head]
            }
        }
        return table
    }

    /// True if a table has all distances of sequences of so many tokens.
    fileprivate func isWhole(_ table: BiasTable, length: Int) -> Bool {
        table.reach >= min(length - 1, maximumDistance)
    }
}

/// Biases by distance, [heads, 2 reach + 1].
final class BiasTable {
    let data: UnsafeMutablePointer<Float>
    let reach: Int

    fileprivate init(headCount: Int, reach: Int) {
        data = .allocate(capacity: headCount * (2 * reach + 1))
        self.reach = reach
    }

    deinit { data.deallocate() }
}

/// The tables of biases that a runner has made so far.
struct BiasTables {
    private var tables: [Int: BiasTable] = [:]

    /// Returns the biases for sequences of up to so many tokens; a table that is too short is made anew, for twice as many.
    mutating func table(_ bias: PositionBias, length: Int) -> BiasTable {
        if let known = tables[bias.number], bias.isWhole(known, length: length) { return known }
        let table = bias.table(length: max(64, 2 * length))
        tables[bias.number] = table
        return table
    }
}

/// The keys and values of a source in every layer of the decoder: computed once, read by every token of every output.
final class SourceMemory: @unchecked Sendable {
    // Sendable: written only by the runner that reads the source, before a state holds it.
    /// Number of tokens of the source.
    let tokenCount: Int
    private(set) var caches: [KeyValueCache]

    init(tokenCount: Int, layerCount: Int, _ c: T5Configuration, type: StateElementType) {
        self.tokenCount = tokenCount
        caches = (0..<layerCount).map { _ in
            var cache = KeyValueCache(groups: c.headCount, size: c.keySize, type: type)
            cache.reserve(tokenCount)
            return cache
        }
    }

    deinit { for cache in caches { cache.deallocate() } }

    var byteCount: Int { caches.reduce(0) { $0 + $1.byteCount } }

    /// Adds the keys and values of the next rows of the encoder's output to a layer.
    func append(layer: Int, _ keys: Rows, _ values: Rows, rows: Range<Int>, _ pool: OpaquePointer) {
        caches[layer].append(
            keys.data + rows.lowerBound * keys.stride, values.data + rows.lowerBound * values.stride,
            rows: rows.count, pool)
    }
}
