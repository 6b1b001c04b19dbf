import RetNetLayers
import RetNetTorch

/// The table of relative positions of one stack, shared by all its layers.
public struct T5PositionTable {
    /// [buckets, heads].
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

    /// The biases of keys at `relatives` = key position - query position, as [H, count].
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
