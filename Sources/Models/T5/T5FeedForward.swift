import Layers
import Torch

/// T5's feed-forward: wo · act(wi x), or wo · (act(wi_0 x) ⊙ wi_1 x).
public struct T5FeedForward {
    private let inner: [Tensor]
    private let output: Tensor
    private let activation: FusedOperators.Activation
    private let dropout: Double
    private let sharedAxes: [Int]

    /// Declares `wi`, or `wi_0` and `wi_1`, and `wo`.
    public init(_ scope: ParameterScope, _ configuration: T5Configuration) throws {
        let c = configuration
        let initializers = T5Initializers(c)
        inner = try (c.feedForward.isGated ? ["wi_0", "wi_1"] : ["wi"]).map {
            try scope.scope($0).parameter(
                "weight", [c.innerSize, c.hiddenSize], initializers.feedForward(inputSize: c.hiddenSize))
        }
        output = try scope.scope("wo").parameter(
            "weight", [c.hiddenSize, c.innerSize], initializers.feedForward(inputSize: c.innerSize))
        activation = c.feedForward.activation
        dropout = c.dropout
        sharedAxes = c.sharesDropoutMasks ? [1] : []
    }

    /// All weights in an element type, the output's last.
    func weights(_ type: ElementType) throws -> [Tensor] { try (inner + [output]).map { try $0.to(type) } }

    /// x [B, T, d] → [B, T, d].
    public func callAsFunction(_ x: Tensor, _ context: ForwardContext) throws -> Tensor {
        try apply(x, weights(x.elementType), context)
    }

    /// The same with weights from ``weights(_:)``.
    func apply(_ x: Tensor, _ weights: [Tensor], _ context: ForwardContext) throws -> Tensor {
        let linear = weights.count > 2 ? try x.linear(weights[1]) : nil
        let active = try FusedOperators.gatedActivation(
            try x.linear(weights[0]), linear, activation: activation)
        let kept = try Dropout.apply(active, probability: dropout, sharedAxes: sharedAxes, context)
        return try kept.linear(weights[weights.count - 1])
    }
}
