import RetNetArchitecture
import RetNetLayers
import RetNetTorch

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
