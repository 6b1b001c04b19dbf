import RetNetLayers
import RetNetTorch

/// T5's attention: heads without biases or scaling of scores, over the sequence itself or over another.
public struct T5Attention {
    private let query: Tensor
    private let key: Tensor
    private let value: Tensor
    private let output: Tensor
    private let headCount: Int
    private let keySize: Int
    private let dropout: Double
    private let sharesDropoutMasks: Bool

    /// Declares `q`, `k`, `v` and `o`; keys and values read hidden states of the width `memorySize`.
    public init(_ scope: ParameterScope, _ configuration: T5Configuration, memorySize: Int) throws {
        let c = configuration
        let (d, inner) = (c.hiddenSize, c.attentionSize)
        let initializers = T5Initializers(c)
        func weight(_ name: String, _ shape: [Int], _ initializer: Initializer) throws -> Tensor {
            try scope.scope(name).parameter("weight", shape, initializer)
        }
        query = try weight("q", [inner, d], initializers.query)
        let reading = initializers.keyValue(inputSize: memorySize)
        key = try weight("k", [inner, memorySize], reading)
        value = try weight("v", [inner, memorySize], reading)
        output = try weight("o", [d, inner], initializers.output)
        headCount = c.headCount
        keySize = c.keySize
        dropout = c.dropout
        sharesDropoutMasks = c.sharesDropoutMasks
    }

    // MARK: Whole sequences

    /// Attention within x [B, T, d], with the biases of distances.
    func within(_ x: Tensor, bias: Tensor, segments: Tensor?, causal: Bool, _ context: ForwardContext) throws
        -> Tensor
    {
        let packed = try x.linear(ownProjection(x.elementType))
        let keep = try keepMask(batch: x.size(0), queries: x.size(1), keys: x.size(1), x, context)
        let mixed = try FusedOperators.biasedAttention(
            packed, bias: bias, querySegments: segments, keySegments: segments, keep: keep,
            headCount: headCount, causal: causal)
        return try project(mixed)
    }

    /// Attention of x [B, Tq, d] over another sequence [B, Tk, memory width].
    func over(
        _ memory: T5Memory, from x: Tensor, segments: Tensor?, _ context: ForwardContext
    ) throws -> Tensor {
        let type = x.elementType
        let packed = try memory.hidden.to(type).linear(memoryProjection(type))
        let keep = try keepMask(batch: x.size(0), queries: x.size(1), keys: packed.size(1), x, context)
        let mixed = try FusedOperators.biasedAttention(
            x.linear(query.to(type)), memory: packed, querySegments: segments,
            keySegments: memory.segments?.values, keep: keep, headCount: headCount, causal: false)
        return try project(mixed)
    }

    // MARK: Single steps

    /// The weights of queries, keys and values as one matrix: one product instead of three.
    func ownProjection(_ type: ElementType) throws -> Tensor {
        try Tensor.concatenated([query.to(type), key.to(type), value.to(type)], axis: 0)
    }

    /// The query weights in an element type.
    func queryProjection(_ type: ElementType) throws -> Tensor { try query.to(type) }
    /// The output weights in an element type.
    func outputProjection(_ type: ElementType) throws -> Tensor { try output.to(type) }

    /// Keys and values [B, H, T, A] of another sequence.
    func keysAndValues(of memory: T5Memory) throws -> (keys: Tensor, values: Tensor) {
        let type = memory.hidden.elementType
        let packed = try memory.hidden.linear(memoryProjection(type))
        let parts = try packed.reshaped([packed.size(0), packed.size(1), 2, headCount, keySize])
            .permuted([2, 0, 3, 1, 4]).contiguous()
        return (try parts.selected(0, 0), try parts.selected(0, 1))
    }

    // MARK: Common parts

    private func memoryProjection(_ type: ElementType) throws -> Tensor {
        try Tensor.concatenated([key.to(type), value.to(type)], axis: 0)
    }

    private func project(_ mixed: Tensor) throws -> Tensor { try mixed.linear(output.to(mixed.elementType)) }

    private func keepMask(batch: Int, queries: Int, keys: Int, _ x: Tensor, _ context: ForwardContext) throws
        -> Tensor?
    {
        try Dropout.mask(
            [batch, headCount, sharesDropoutMasks ? 1 : queries, keys], probability: dropout,
            as: x.elementType, context)
    }
}
