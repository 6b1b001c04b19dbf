import RetNetLayers
import RetNetTorch

/// One layer of T5's decoder: causal attention, attention over the encoder's result, feed-forward.
public struct T5DecoderLayer {
    private let attention: T5Attention
    private let attentionNorm: Tensor
    private let cross: T5Attention
    private let crossNorm: Tensor
    private let feedForward: T5FeedForwardPart
    private let feedForwardNorm: Tensor
    private let branches: T5ResidualNorm
    private let headCount: Int
    private let keySize: Int
    /// The stack's position table, which the first layer declares.
    let positions: T5PositionTable?

    /// Declares `layer.0.SelfAttention`, `layer.1.EncDecAttention`, `layer.2.DenseReluDense` and the norms.
    ///
    /// `memorySize` is the width of the encoder's result.
    init(_ scope: ParameterScope, _ configuration: T5Configuration, memorySize: Int, layer: Int) throws {
        let c = configuration
        let first = scope.scope("layer.0")
        attention = try T5Attention(first.scope("SelfAttention"), c, memorySize: c.hiddenSize)
        positions =
            layer == 0 ? try T5PositionTable(first.scope("SelfAttention"), c, bidirectional: false) : nil
        attentionNorm = try T5ResidualNorm.norm(first, c.hiddenSize)
        let second = scope.scope("layer.1")
        cross = try T5Attention(second.scope("EncDecAttention"), c, memorySize: memorySize)
        crossNorm = try T5ResidualNorm.norm(second, c.hiddenSize)
        let third = scope.scope("layer.2")
        feedForward = try T5FeedForwardPart(third, c, layer: layer, isDecoder: true)
        feedForwardNorm = try T5ResidualNorm.norm(third, c.hiddenSize)
        branches = T5ResidualNorm(c)
        headCount = c.headCount
        keySize = c.keySize
    }

    /// x [B, T, d] → [B, T, d]; the call must have a memory.
    public func callAsFunction(_ x: Tensor, stride: Int = 1, _ pass: T5ForwardPass) throws -> Tensor {
        guard let memory = pass.memory else { throw T5Error.missingMemory }
        let segments = try pass.segments?.every(stride)
        let normed = try branches.norm(x, attentionNorm, pass).normed
        let mixed = try attention.within(
            normed, bias: pass.bias.distances(count: x.size(1), stride: stride), segments: segments,
            causal: true, pass.context)
        let (asking, stream) = try branches.norm(x, adding: mixed, crossNorm, pass)
        let read = try cross.over(memory, from: asking, segments: segments, pass.context)
        let (next, sum) = try branches.norm(stream, adding: read, feedForwardNorm, pass)
        let fed = try feedForward(next, places: pass.segments?.places(stride: stride), pass.context)
        return try branches.add(sum, fed, pass)
    }

    // MARK: Steps

    /// What the layer keeps while decoding: nothing of its own yet, and the keys and values of the memory.
    ///
    /// Weights are converted to the compute type once.
    func cache(rowCount: Int, memory: T5Memory) throws -> T5LayerCache {
        let type = memory.hidden.elementType
        let (keys, values) = try cross.keysAndValues(of: memory)
        return T5LayerCache(
            own: try T5KeyValueCache(
                rowCount: rowCount, headCount: headCount, keySize: keySize, elementType: type,
                device: memory.hidden.device),
            crossKeys: keys, crossValues: values,
            weights: T5StepWeights(
                own: try attention.ownProjection(type), ownOutput: try attention.outputProjection(type),
                query: try cross.queryProjection(type), crossOutput: try cross.outputProjection(type),
                feedForward: try feedForward.converted(to: type)))
    }

    /// One token of every row: x [B, 1, d] → [B, 1, d], with `bias` [H, count + 1]; the cache grows.
    func step(
        _ x: Tensor, bias: Tensor, cache: inout T5LayerCache, memorySegments: Tensor?, _ pass: T5ForwardPass
    )
        throws -> Tensor
    {
        let (rows, inner) = (x.size(0), headCount * keySize)
        let packed = try branches.norm(x, attentionNorm, pass).normed.linear(cache.weights.own)
            .reshaped([rows, 3, headCount, keySize])
        func part(_ index: Int) throws -> Tensor { try packed.selected(1, index) }
        try cache.own.append(keys: part(1).unsqueezed(2), values: part(2).unsqueezed(2))
        let mixed = try FusedOperators.biasedAttentionStep(
            part(0).reshaped([rows, inner]), keys: cache.own.keys, values: cache.own.values, bias: bias,
            count: cache.own.count)
        let own = try mixed.linear(cache.weights.ownOutput).reshaped(x.shape)
        let (asking, stream) = try branches.norm(x, adding: own, crossNorm, pass)
        let read = try FusedOperators.biasedAttentionStep(
            asking.linear(cache.weights.query).reshaped([rows, inner]), keys: cache.crossKeys,
            values: cache.crossValues, keySegments: memorySegments, count: cache.crossKeys.size(2))
        let crossed = try read.linear(cache.weights.crossOutput).reshaped(x.shape)
        let (next, sum) = try branches.norm(stream, adding: crossed, feedForwardNorm, pass)
        return try branches.add(sum, cache.weights.feedForward(next, places: nil, pass.context), pass)
    }
}
