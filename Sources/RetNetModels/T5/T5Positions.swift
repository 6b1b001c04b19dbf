import Foundation
import RetNetArchitecture
import RetNetLayers
import RetNetTorch

/// The buckets of T5's relative positions (Raffel et al., arXiv 1910.10683, section 2.1).
public enum T5RelativeBuckets {
    /// Returns the bucket of `relative` = key position - query position.
    ///
    /// Half of the buckets of a direction hold single distances; the others grow geometrically up to
    /// `maximumDistance`. In bidirectional attention the upper half of all buckets is for keys to the right;
    /// otherwise these share bucket 0 with distance 0.
    public static func bucket(
        relative: Int, bidirectional: Bool, bucketCount: Int = 32, maximumDistance: Int = 128
    ) -> Int {
        guard bidirectional else {
            return distanceBucket(max(0, -relative), count: bucketCount, maximumDistance: maximumDistance)
        }
        let half = bucketCount / 2
        return (relative > 0 ? half : 0)
            + distanceBucket(abs(relative), count: half, maximumDistance: maximumDistance)
    }

    /// Returns the bucket of a distance ≥ 0 among those of one direction.
    private static func distanceBucket(_ distance: Int, count: Int, maximumDistance: Int) -> Int {
        let exact = max(1, count / 2)
        guard distance >= exact else { return distance }
        let steps = Double(count - exact)
        let position = log(Double(distance) / Double(exact)) / log(Double(maximumDistance) / Double(exact))
        // Exact powers lie on a boundary: rounding must not drop them into the bucket below.
        return min(count - 1, exact + Int((position * steps + 1e-9).rounded(.down)))
    }
}

/// The learned biases by relative position of one stack, shared by all its layers.
public struct T5PositionTable {
    /// The table, [buckets, heads].
    public let weight: Tensor
    private let bidirectional: Bool
    private let maximumDistance: Int

    /// Declares `relative_attention_bias.weight`.
    init(_ scope: ParameterScope, _ configuration: T5Configuration, bidirectional: Bool) throws {
        weight = try scope.scope("relative_attention_bias").parameter(
            "weight", [configuration.bucketCount, configuration.headCount],
            T5Initializers(configuration).positions, decays: false)
        self.bidirectional = bidirectional
        maximumDistance = configuration.maximumDistance
    }

    /// Returns the biases [H, count] of keys at `relatives` = key position - query position.
    public func biases(relatives: [Int], as type: ElementType) throws -> Tensor {
        let count = weight.size(0)
        let buckets = relatives.map {
            Int64(
                T5RelativeBuckets.bucket(
                    relative: $0, bidirectional: bidirectional, bucketCount: count,
                    maximumDistance: maximumDistance))
        }
        let indices = try Tensor.from(buckets, on: weight.device)
        return try weight.embedding(indices).to(type).transposed(0, 1).contiguous()
    }
}

/// The position biases of one pass through a stack, looked up once for all layers.
public final class T5PositionBias {
    private let table: T5PositionTable
    private let type: ElementType
    private var cache: [[Int]: Tensor] = [:]

    init(_ table: T5PositionTable, as type: ElementType) {
        self.table = table
        self.type = type
    }

    /// Returns the biases [H, 2T-1] of T positions that are `stride` tokens apart.
    ///
    /// The bias of key j and query i stands at j - i + T - 1.
    public func distances(count: Int, stride: Int = 1) throws -> Tensor {
        if let found = cache[[count, stride]] { return found }
        let result = try table.biases(relatives: (1 - count..<count).map { $0 * stride }, as: type)
        cache[[count, stride]] = result
        return result
    }

    /// Returns the biases [H, count] of all positions for the last of `count` positions as the query.
    public func last(count: Int) throws -> Tensor {
        try table.biases(relatives: (0..<count).map { $0 - count + 1 }, as: type)
    }
}
