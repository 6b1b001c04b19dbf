import RetNetArchitecture
import RetNetLayers
import RetNetTorch

/// T5's multi-head attention, without biases and without scaling of scores, within a sequence or over another.
public struct T5Attention {
    private let query: Tensor
    private let key: Tensor
    private let value: Tensor
    private let output: Tensor
    private let headCount: Int
    private let keySize: Int
    private let dropout: Double
    private let sharesDropoutMasks: Bool

    /// Declares `q`, `k`, `v` and `o`; the inputs of keys and values have the width `sourceSize`.
    public init(_ scope: ParameterScope, _ configuration: T5Configuration, sourceSize: Int) throws {
        let c = configuration
        let (d, inner) = (c.hiddenSize, c.attentionSize)
        let initializers = T5Initializers(c)
        func weight(_ name: String, _ shape: [Int], _ initializer: Initializer) throws -> Tensor {
            try scope.scope(name).parameter("weight", shape, initializer)
        }
        query = try weight("q", [inner, d], initializers.query)
        let keyValue = initializers.keyValue(inputSize: sourceSize)
        key = try weight("k", [inner, sourceSize], keyValue)
        value = try weight("v", [inner, sourceSize], keyValue)
        output = try weight("o", [d, inner], initializers.output)
        headCount = c.headCount
        keySize = c.keySize
        dropout = c.dropout
        sharesDropoutMasks = c.sharesDropoutMasks
    }

    // MARK: Whole sequences

    /// Applies attention within x [B, T, d], with biases [H, 2T-1] by distance.
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

    /// Applies attention of x [B, Tq, d] over another sequence [B, Tk, source width].
    func over(
        _ source: T5EncoderOutput, from x: Tensor, segments: Tensor?, _ context: ForwardContext
    ) throws -> Tensor {
        let type = x.elementType
        let packed = try source.hidden.to(type).linear(sourceProjection(type))
        let keep = try keepMask(batch: x.size(0), queries: x.size(1), keys: packed.size(1), x, context)
        let mixed = try FusedOperators.biasedAttention(
            x.linear(query.to(type)), memory: packed, querySegments: segments,
            keySegments: source.segments?.values, keep: keep, headCount: headCount, causal: false)
        return try project(mixed)
    }

    // MARK: Single steps

    /// Returns the weights of queries, keys and values as one matrix, for one product instead of three.
    func ownProjection(_ type: ElementType) throws -> Tensor {
        try Tensor.concatenated([query.to(type), key.to(type), value.to(type)], axis: 0)
    }

    /// Returns the query weights in an element type.
    func queryProjection(_ type: ElementType) throws -> Tensor { try query.to(type) }

    /// Returns the output weights in an element type.
    func outputProjection(_ type: ElementType) throws -> Tensor { try output.to(type) }

    /// Returns the keys and values [B, H, T, A] of another sequence.
    func keysAndValues(of source: T5EncoderOutput) throws -> (keys: Tensor, values: Tensor) {
        let type = source.hidden.elementType
        let packed = try source.hidden.linear(sourceProjection(type))
        let parts = try packed.reshaped([packed.size(0), packed.size(1), 2, headCount, keySize])
            .permuted([2, 0, 3, 1, 4]).contiguous()
        return (try parts.selected(0, 0), try parts.selected(0, 1))
    }

    // MARK: Common parts

    private func sourceProjection(_ type: ElementType) throws -> Tensor {
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
