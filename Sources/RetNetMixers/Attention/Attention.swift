import Foundation
import RetNetArchitecture
import RetNetTorch

/// Causal softmax attention in its equal forms, for queries and keys that are already rotated.
///
/// B batch, H query heads, G heads of keys and values (G divides H; query head j reads head ⌊j·G/H⌋), T queries,
/// N keys, A key size, V value size. q [B, H, T, A], k [B, G, N, A], v [B, G, N, V]; query t of row b sees the keys
/// 0 … past[b] + t, so entries of a cache behind those are never read. One past may stand for all rows.
///
/// ``definition(_:_:_:past:scale:)`` is the specification; the other forms are tested against it. Sources: Attention
/// Is All You Need (arXiv 1706.03762), FlashAttention (2205.14135), grouped queries (2305.13245).
public enum Attention {
    /// oₜ = Σ_{i ≤ past+t} e^{s·qₜ·kᵢ} vᵢ / Σ_{i ≤ past+t} e^{s·qₜ·kᵢ}, term by term in float64.
    public static func definition(
        _ q: Tensor, _ k: Tensor, _ v: Tensor, past: [Int], scale: Double
    ) throws -> Tensor {
        try check(q, k, v, past)
        let group = q.size(1) / k.size(1)
        let (query, key) = (try q.to(.float64), try k.to(.float64).repeatInterleaved(group, axis: 1))
        let value = try v.to(.float64).repeatInterleaved(group, axis: 1)
        var rows: [Tensor] = []
        for row in 0..<q.size(0) {
            var outputs: [Tensor] = []
            for t in 0..<q.size(2) {
                let one = try query.sliced(0, row..<row + 1).sliced(2, t..<t + 1)
                let scores = try (0...past[past.count == 1 ? 0 : row] + t).map { i in
                    let other = try key.sliced(0, row..<row + 1).sliced(2, i..<i + 1)
                    return try (one * other).sum([-1], keepingAxes: true) * scale
                }
                // Any number taken from all scores cancels; the largest keeps the exponentials finite.
                let top = try scores.dropFirst().reduce(scores[0]) { try $0.maximum($1) }.detached()
                var (numerator, denominator): (Tensor?, Tensor?) = (nil, nil)
                for (i, score) in scores.enumerated() {
                    let weight = try (score - top).exp()
                    let term = try weight * value.sliced(0, row..<row + 1).sliced(2, i..<i + 1)
                    numerator = try numerator.map { try $0 + term } ?? term
                    denominator = try denominator.map { try $0 + weight } ?? weight
                }
                guard let numerator, let denominator else { throw MixerError.emptySequence }
                outputs.append(try numerator / denominator)
            }
            rows.append(try Tensor.concatenated(outputs, axis: 2))
        }
        return try Tensor.concatenated(rows, axis: 0).to(v.elementType)
    }

    /// softmax(s Q Kᵀ + mask) V with all scores at once, [B, H, T, N]; the softmax in float32.
    public static func plain(
        _ q: Tensor, _ k: Tensor, _ v: Tensor, past: [Int], scale: Double
    ) throws -> Tensor {
        try check(q, k, v, past)
        let group = q.size(1) / k.size(1)
        let keys = try k.repeatInterleaved(group, axis: 1)
        let hidden = try later(past, queries: q.size(2), keys: k.size(2), on: q.device)
        let scores = try q.matmul(keys.transposed(-1, -2)).to(q.elementType.accumulator) * scale
        let weights = try scores.maskFilled(hidden, -Double.infinity).softmax(axis: -1)
        let values = try readable(v, past, queries: q.size(2)).repeatInterleaved(group, axis: 1)
        return try weights.to(v.elementType).matmul(values)
    }

    /// Tiles of queries and keys with a running softmax, differentiable: memory O(T · d).
    public static func tiled(
        _ q: Tensor, _ k: Tensor, _ v: Tensor, past: [Int], scale: Double, tileLength: Int
    ) throws -> Tensor {
        try check(q, k, v, past)
        return try FusedOperators.attention(
            query: q, key: k, value: v, past: past, scale: scale, tileLength: tileLength)
    }

    /// One query after another, each over the keys that it sees, without gradients.
    public static func step(
        _ q: Tensor, _ k: Tensor, _ v: Tensor, past: [Int], scale: Double
    ) throws -> Tensor {
        try check(q, k, v, past)
        return try FusedOperators.attentionSteps(query: q, key: k, value: v, past: past, scale: scale)
    }

    /// softmax over the keys of a past, which every query sees, and of the ancestors of its token in a forest.
    ///
    /// `past` holds k and v [B or 1, G, P, ·]; `hidden` is [B, 1, T, T], true where a token is no ancestor.
    static func branching(
        _ q: Tensor, _ k: Tensor, _ v: Tensor, past: (key: Tensor, value: Tensor)?, hidden: Tensor,
        scale: Double
    ) throws -> Tensor {
        let (batch, heads, time, groups) = (q.size(0), q.size(1), q.size(2), k.size(1))
        // The heads of a group stand below one another, so that keys and values are read once for all of them.
        let tall = [batch, groups, heads / groups * time]
        let queries = try q.reshaped(tall + [q.size(3)])
        func scores(_ keys: Tensor) throws -> Tensor {
            try queries.matmulRows(keys.transposed(-1, -2)).to(q.elementType.accumulator)
                .reshaped([batch, heads, time, keys.size(2)]) * scale
        }
        func mixed(_ weights: Tensor, _ values: Tensor) throws -> Tensor {
            try weights.reshaped(tall + [values.size(2)]).to(v.elementType).matmulRows(values)
                .reshaped([batch, heads, time, v.size(3)])
        }
        let own = try scores(k).maskFilled(hidden, -Double.infinity)
        guard let past, past.key.size(2) > 0 else { return try mixed(own.softmax(axis: -1), v) }
        let count = past.key.size(2)
        let weights = try Tensor.concatenated([scores(past.key), own], axis: -1).softmax(axis: -1)
        return try mixed(weights.sliced(-1, 0..<count), past.value)
            + mixed(weights.sliced(-1, count..<count + time), v)
    }

    /// Runs the operator of models in a form: parallel is plain, chunkwise tiled, recurrent step by step.
    ///
    /// Recurrent steps with gradients are plain attention of one query at a time.
    public static func attend(
        _ q: Tensor, _ k: Tensor, _ v: Tensor, past: [Int], scale: Double, form: MixerForm
    ) throws -> Tensor {
        switch form {
        case .parallel:
            return try plain(q, k, v, past: past, scale: scale)
        case .chunkwise(let length):
            return try tiled(q, k, v, past: past, scale: scale, tileLength: length)
        case .recurrent:
            guard gradientsAreEnabled, [q, k, v].contains(where: \.requiresGradient) else {
                return try step(q, k, v, past: past, scale: scale)
            }
            let outputs = try (0..<q.size(2)).map { t in
                try plain(q.sliced(2, t..<t + 1), k, v, past: past.map { $0 + t }, scale: scale)
            }
            return try Tensor.concatenated(outputs, axis: 2)
        }
    }

    /// Returns booleans [B or 1, 1, T, N]: true where a key comes after a query.
    private static func later(_ past: [Int], queries: Int, keys: Int, on device: Device) throws -> Tensor {
        let first = try Tensor.from(past.map(Int64.init), [past.count, 1, 1, 1]).to(.float64)
        let last = try Tensor.range(to: Double(queries), .float64).reshaped([1, 1, queries, 1]) + first
        let key = try Tensor.range(to: Double(keys), .float64).reshaped([1, 1, 1, keys])
        return try last.isLess(than: key).to(on: device)
    }

    /// Returns values with zeros in the padding: a weight of 0 times infinity there would not be 0.
    private static func readable(_ v: Tensor, _ past: [Int], queries: Int) throws -> Tensor {
        let counts = past.map { $0 + queries }
        guard counts.contains(where: { $0 < v.size(2) }) else { return v }
        let flags = counts.flatMap { count in (0..<v.size(2)).map { UInt8($0 < count ? 0 : 1) } }
        let padding = try Tensor.from(flags, [counts.count, 1, v.size(2), 1]).to(on: v.device).isEqual(to: 1)
        return try v.maskFilled(padding, 0)
    }

    private static func check(_ q: Tensor, _ k: Tensor, _ v: Tensor, _ past: [Int]) throws {
        guard q.rank == 4, k.rank == 4, v.rank == 4, k.size(1) > 0, q.size(1) % k.size(1) == 0 else {
            throw TorchError(
                kind: .value,
                message: "queries \(q.shape), keys \(k.shape) and values \(v.shape) do not fit")
        }
        guard q.size(2) > 0 else { throw MixerError.emptySequence }
        guard past.count == 1 || past.count == q.size(0) else {
            throw MixerError.wrongBatch(expected: q.size(0), found: past.count)
        }
        guard past.allSatisfy({ $0 >= 0 && $0 <= k.size(2) - q.size(2) }) else {
            throw TorchError(
                kind: .value,
                message: "pasts of \(past) and \(q.size(2)) queries do not fit \(k.size(2)) keys")
        }
    }
}
