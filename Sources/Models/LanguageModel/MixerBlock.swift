import Layers
import Mixers
import Torch

/// One layer of a language model: a token mixer and a feed-forward, each with a norm and a residual.
///
///     Y  = X + MSR(LN(X))
///     X' = Y + FFN(LN(Y))                              (paper Eq. 9; the norm comes last without `preNorm`)
struct MixerBlock {
    let mixer: any TokenMixer
    private let mixerNorm: Norm
    private let feedForwardNorm: Norm
    private let feedForward: FeedForward
    private let residualScale: Double
    private let preNorm: Bool
    private let dropout: Double
    private let dropPath: Double

    init(
        _ scope: ParameterScope, _ configuration: LanguageModelConfiguration, layer: Int,
        _ initializers: ModelInitializers
    ) throws {
        let c = configuration
        func norm(_ name: String) throws -> Norm { try Norm(scope.scope(name), size: c.hiddenSize, c.norm) }
        mixerNorm = try norm("mixer_norm")
        switch c.mixer {
        case .retention(let retention):
            mixer = try MultiScaleRetention(
                scope.scope("mixer"), hiddenSize: c.hiddenSize, retention, initializers.retention)
        }
        feedForwardNorm = try norm("feed_forward_norm")
        feedForward = try FeedForward(
            scope.scope("feed_forward"),
            FeedForward.Options(
                hiddenSize: c.hiddenSize, innerSize: c.feedForward.innerSize,
                isGated: c.feedForward.kind == .gated,
                activation: c.feedForward.activation.fused, biases: c.feedForward.biases,
                subNorm: c.feedForward.subNorm ? (c.norm.kind.fused, c.norm.epsilon) : nil,
                activationDropout: c.dropout.activation, initializer: initializers.feedForward,
                gateInitializer: initializers.feedForwardGate))
        residualScale = c.residualScale
        preNorm = c.preNorm
        dropout = c.dropout.residual
        dropPath = c.layerCount > 1 ? c.dropout.dropPath * Double(layer) / Double(c.layerCount - 1) : 0
    }

    func callAsFunction(_ x: Tensor, state: (any MixerState)?, _ call: MixerCall) throws
        -> (output: Tensor, state: any MixerState)
    {
        let (mixed, next) = try mixer(preNorm ? mixerNorm(x) : x, state: state, call)
        let y = try residual(x, mixed, mixerNorm, call.context)
        let fed = try feedForward(preNorm ? feedForwardNorm(y) : y, call.context)
        return (try residual(y, fed, feedForwardNorm, call.context), next)
    }

    private func residual(_ x: Tensor, _ branch: Tensor, _ norm: Norm, _ context: ForwardContext) throws
        -> Tensor
    {
        var branch = try Dropout.apply(branch, probability: dropout, context)
        branch = try Dropout.dropPath(branch, probability: dropPath, context)
        let sum = try (residualScale == 1 ? x : x * residualScale) + branch
        return preNorm ? sum : try norm(sum)
    }
}

extension Norm {
    init(_ scope: ParameterScope, size: Int, _ configuration: NormConfiguration) throws {
        try self.init(
            scope, size: size, kind: configuration.kind.fused, epsilon: configuration.epsilon,
            affine: configuration.affine)
    }
}
