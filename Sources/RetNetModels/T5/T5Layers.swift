import RetNetArchitecture
import RetNetLayers
import RetNetTorch

/// One layer of T5's encoder: x' = x + Attention(Norm x), x'' = x' + FeedForward(Norm x').
///
/// The residual stream may have a wider element type than the computation: float32 under bfloat16, so that deep
/// stacks keep the contribution of each layer.
public struct T5EncoderLayer {
    private let attention: T5Attention
    private let attentionNorm: Tensor
    private let feedForward: T5FeedForwardPart
    private let feedForwardNorm: Tensor
    private let residual: T5ResidualNorm
    /// The stack's position table, which the first layer declares.
    let positions: T5PositionTable?

    /// Declares `layer.0.SelfAttention`, `layer.1.DenseReluDense` and both norms.
    init(_ scope: ParameterScope, _ configuration: T5Configuration, layer: Int) throws {
        let first = scope.scope("layer.0")
        attention = try T5Attention(
            first.scope("SelfAttention"), configuration, sourceSize: configuration.hiddenSize)
        positions =
            layer == 0
            ? try T5PositionTable(first.scope("SelfAttention"), configuration, bidirectional: true) : nil
        attentionNorm = try T5ResidualNorm.norm(first, configuration.hiddenSize)
        let second = scope.scope("layer.1")
        feedForward = try T5FeedForwardPart(second, configuration, layer: layer, isDecoder: false)
        feedForwardNorm = try T5ResidualNorm.norm(second, configuration.hiddenSize)
        residual = T5ResidualNorm(configuration)
    }

    /// Maps x [B, T, d] → [B, T, d], whose positions are `stride` tokens apart.
    public func callAsFunction(_ x: Tensor, stride: Int = 1, _ pass: T5ForwardPass) throws -> Tensor {
        let normed = try residual.norm(x, attentionNorm, pass).normed
        let mixed = try attention.within(
            normed, bias: pass.bias.distances(count: x.size(1), stride: stride),
            segments: pass.segments?.every(stride), causal: false, pass.context)
        let (next, stream) = try residual.norm(x, adding: mixed, feedForwardNorm, pass)
        let fed = try feedForward(next, places: pass.segments?.places(stride: stride), pass.context)
        return try residual.add(stream, fed, pass)
    }
}

/// One layer of T5's decoder: causal self-attention, attention over the encoder output, feed-forward.
public struct T5DecoderLayer {
    private let attention: T5Attention
    private let attentionNorm: Tensor
    private let cross: T5Attention
    private let crossNorm: Tensor
    private let feedForward: T5FeedForwardPart
    private let feedForwardNorm: Tensor
    private let residual: T5ResidualNorm
    private let headCount: Int
    private let keySize: Int
    /// The stack's position table, which the first layer declares.
    let positions: T5PositionTable?

    /// Declares `layer.0.SelfAttention`, `layer.1.EncDecAttention`, `layer.2.DenseReluDense` and the norms.
    ///
    /// `sourceSize` is the width of the encoder output.
    init(_ scope: ParameterScope, _ configuration: T5Configuration, sourceSize: Int, layer: Int) throws {
        let c = configuration
        let first = scope.scope("layer.0")
        attention = try T5Attention(first.scope("SelfAttention"), c, sourceSize: c.hiddenSize)
        positions =
            layer == 0 ? try T5PositionTable(first.scope("SelfAttention"), c, bidirectional: false) : nil
        attentionNorm = try T5ResidualNorm.norm(first, c.hiddenSize)
        let second = scope.scope("layer.1")
        cross = try T5Attention(second.scope("EncDecAttention"), c, sourceSize: sourceSize)
        crossNorm = try T5ResidualNorm.norm(second, c.hiddenSize)
        let third = scope.scope("layer.2")
        feedForward = try T5FeedForwardPart(third, c, layer: layer, isDecoder: true)
        feedForwardNorm = try T5ResidualNorm.norm(third, c.hiddenSize)
        residual = T5ResidualNorm(c)
        headCount = c.headCount
        keySize = c.keySize
    }

    /// Maps x [B, T, d] → [B, T, d]; the pass must have an encoder output.
    public func callAsFunction(_ x: Tensor, stride: Int = 1, _ pass: T5ForwardPass) throws -> Tensor {
        guard let source = pass.encoderOutput else { throw T5Error.missingEncoderOutput }
        let segments = try pass.segments?.every(stride)
        let normed = try residual.norm(x, attentionNorm, pass).normed
        let mixed = try attention.within(
            normed, bias: pass.bias.distances(count: x.size(1), stride: stride), segments: segments,
            causal: true, pass.context)
        let (queries, stream) = try residual.norm(x, adding: mixed, crossNorm, pass)
        let read = try cross.over(source, from: queries, segments: segments, pass.context)
        let (next, sum) = try residual.norm(stream, adding: read, feedForwardNorm, pass)
        let fed = try feedForward(next, places: pass.segments?.places(stride: stride), pass.context)
        return try residual.add(sum, fed, pass)
    }

    // MARK: Steps

    /// Returns the layer's cache before the first token, with the keys and values of the source.
    ///
    /// Weights are converted to the compute type once.
    func cache(rowCount: Int, source: T5EncoderOutput) throws -> T5LayerCache {
        let type = source.hidden.elementType
        let (keys, values) = try cross.keysAndValues(of: source)
        return T5LayerCache(
            own: try T5KeyValueCache(
                rowCount: rowCount, headCount: headCount, keySize: keySize, elementType: type,
                device: source.hidden.device),
            crossKeys: keys, crossValues: values,
            weights: T5StepWeights(
                own: try attention.ownProjection(type), ownOutput: try attention.outputProjection(type),
                query: try cross.queryProjection(type), crossOutput: try cross.outputProjection(type),
                feedForward: try feedForward.converted(to: type)))
    }

    /// Maps one token per row, x [B, 1, d] → [B, 1, d], with `bias` [H, count + 1], and appends to the cache.
    func step(
        _ x: Tensor, bias: Tensor, cache: inout T5LayerCache, sourceSegments: Tensor?, _ pass: T5ForwardPass
    ) throws -> Tensor {
        let (rows, inner) = (x.size(0), headCount * keySize)
        let packed = try residual.norm(x, attentionNorm, pass).normed.linear(cache.weights.own)
            .reshaped([rows, 3, headCount, keySize])
        func part(_ index: Int) throws -> Tensor { try packed.selected(1, index) }
        try cache.own.append(keys: part(1).unsqueezed(2), values: part(2).unsqueezed(2))
        let mixed = try FusedOperators.biasedAttentionStep(
            part(0).reshaped([rows, inner]), keys: cache.own.keys, values: cache.own.values, bias: bias,
            count: cache.own.count)
        let own = try mixed.linear(cache.weights.ownOutput).reshaped(x.shape)
        let (queries, stream) = try residual.norm(x, adding: own, crossNorm, pass)
        let read = try FusedOperators.biasedAttentionStep(
            queries.linear(cache.weights.query).reshaped([rows, inner]), keys: cache.crossKeys,
            values: cache.crossValues, keySegments: sourceSegments, count: cache.crossKeys.size(2))
        let crossed = try read.linear(cache.weights.crossOutput).reshaped(x.shape)
        let (next, sum) = try residual.norm(stream, adding: crossed, feedForwardNorm, pass)
        return try residual.add(sum, cache.weights.feedForward(next, places: nil, pass.context), pass)
    }
}

/// Norms and residual sums of T5's layers.
struct T5ResidualNorm {
    private let epsilon: Double
    private let dropout: Double
    private let sharedAxes: [Int]

    init(_ configuration: T5Configuration) {
        epsilon = configuration.epsilon
        dropout = configuration.dropout
        sharedAxes = configuration.sharesDropoutMasks ? [1] : []
    }

    /// Declares `layer_norm.weight`.
    static func norm(_ scope: ParameterScope, _ size: Int, name: String = "layer_norm") throws -> Tensor {
        try scope.scope(name).parameter("weight", [size], .constant(1))
    }

    /// Returns the norm, in the compute type, of the stream plus a branch, and that sum.
    func norm(_ x: Tensor, adding branch: Tensor? = nil, _ weight: Tensor, _ pass: T5ForwardPass) throws -> (
        normed: Tensor, stream: Tensor
    ) {
        let kept = try branch.map { try dropped($0, pass.context) }
        return try FusedOperators.residualNorm(
            x, adding: kept, weight: weight, epsilon: epsilon, as: pass.computeType)
    }

    /// Returns the stream plus a branch.
    func add(_ stream: Tensor, _ branch: Tensor, _ pass: T5ForwardPass) throws -> Tensor {
        try FusedOperators.residualAdd(stream, dropped(branch, pass.context))
    }

    /// Applies the dropout that follows embeddings, sublayers and final norms.
    func dropped(_ x: Tensor, _ context: ForwardContext) throws -> Tensor {
        try Dropout.apply(x, probability: dropout, sharedAxes: sharedAxes, context)
    }
}

/// The inputs that all layers share in one pass through a stack.
public struct T5ForwardPass {
    /// The position biases of the stack.
    public let bias: T5PositionBias
    /// Segments of all positions, before any stride.
    public let segments: T5Segments?
    /// The output of the encoder, for layers of a decoder.
    public let encoderOutput: T5EncoderOutput?
    /// Training mode and the generator of dropout.
    public let context: ForwardContext
    /// The element type of all computation but the residual stream.
    public let computeType: ElementType
}
