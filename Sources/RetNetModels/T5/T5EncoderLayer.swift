import RetNetLayers
import RetNetTorch

/// One layer of T5's encoder: x' = x + Attention(Norm x), x'' = x' + FeedForward(Norm x').
///
/// The residual stream may be wider than what is computed with: float32 under bfloat16, so that deep stacks keep what
/// a layer adds.
public struct T5EncoderLayer {
    private let attention: T5Attention
    private let attentionNorm: Tensor
    private let feedForward: T5FeedForwardPart
    private let feedForwardNorm: Tensor
    private let branches: T5ResidualNorm
    /// The stack's position table, which the first layer declares.
    let positions: T5PositionTable?

    /// Declares `layer.0.SelfAttention`, `layer.1.DenseReluDense` and both norms.
    init(_ scope: ParameterScope, _ configuration: T5Configuration, layer: Int) throws {
        let first = scope.scope("layer.0")
        attention = try T5Attention(
            first.scope("SelfAttention"), configuration, memorySize: configuration.hiddenSize)
        positions =
            layer == 0
            ? try T5PositionTable(first.scope("SelfAttention"), configuration, bidirectional: true) : nil
        attentionNorm = try T5ResidualNorm.norm(first, configuration.hiddenSize)
        let second = scope.scope("layer.1")
        feedForward = try T5FeedForwardPart(second, configuration, layer: layer, isDecoder: false)
        feedForwardNorm = try T5ResidualNorm.norm(second, configuration.hiddenSize)
        branches = T5ResidualNorm(configuration)
    }

    /// x [B, T, d] → [B, T, d] for positions that are `stride` tokens apart.
    public func callAsFunction(_ x: Tensor, stride: Int = 1, _ pass: T5ForwardPass) throws -> Tensor {
        let normed = try branches.norm(x, attentionNorm, pass).normed
        let mixed = try attention.within(
            normed, bias: pass.bias.distances(count: x.size(1), stride: stride),
            segments: pass.segments?.every(stride), causal: false, pass.context)
        let (next, stream) = try branches.norm(x, adding: mixed, feedForwardNorm, pass)
        let fed = try feedForward(next, places: pass.segments?.places(stride: stride), pass.context)
        return try branches.add(stream, fed, pass)
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

    /// The norm, in the compute type, of the stream with a branch added, and that stream.
    func norm(_ x: Tensor, adding branch: Tensor? = nil, _ weight: Tensor, _ pass: T5ForwardPass) throws -> (
        normed: Tensor, stream: Tensor
    ) {
        let kept = try branch.map { try dropped($0, pass.context) }
        return try FusedOperators.residualNorm(
            x, adding: kept, weight: weight, epsilon: epsilon, as: pass.computeType)
    }

    /// The stream with a branch added.
    func add(_ stream: Tensor, _ branch: Tensor, _ pass: T5ForwardPass) throws -> Tensor {
        try FusedOperators.residualAdd(stream, dropped(branch, pass.context))
    }

    /// Dropout as after embeddings, sublayers and final norms.
    func dropped(_ x: Tensor, _ context: ForwardContext) throws -> Tensor {
        try Dropout.apply(x, probability: dropout, sharedAxes: sharedAxes, context)
    }
}
