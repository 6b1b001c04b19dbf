// Whoever makes models needs their configurations, which stand in a target of their own because the runtime reads them too.
@_exported import RetNetArchitecture
import RetNetLayers
import RetNetMixers
import RetNetTorch

extension LayerConfiguration {
    /// Returns the mixer, preceded by the convolution if there is one, with parameters declared in the block's scope.
    func makeMixer(_ scope: ParameterScope, _ context: LayerContext) throws -> any TokenMixer {
        guard let width = shortConvolution else {
            return try mixer.builder.makeMixer(scope.scope("mixer"), context)
        }
        let convolution = try ShortConvolution(
            scope.scope("short_convolution"), channels: context.hiddenSize, width: width, bias: true)
        return ConvolvedMixer(
            convolution: convolution, mixer: try mixer.builder.makeMixer(scope.scope("mixer"), context))
    }
}

extension Norm {
    init(_ scope: ParameterScope, size: Int, _ configuration: NormConfiguration) throws {
        try self.init(
            scope, size: size, kind: configuration.kind.fused, epsilon: configuration.epsilon,
            affine: configuration.affine)
    }
}

extension NormConfiguration.Kind {
    /// The same kind under the name of the fused operators.
    var fused: FusedOperators.NormKind {
        switch self {
        case .rms: .rms
        case .layer: .layer
        }
    }
}

extension FeedForwardConfiguration.Activation {
    /// The same activation under the name of the fused operators.
    var fused: FusedOperators.Activation {
        switch self {
        case .gelu: .gelu
        case .geluTanh: .geluTanh
        case .swish: .swish
        case .relu: .relu
        }
    }
}

extension ExpertsConfiguration {
    /// Returns the options of the layer, given those of the feed-forward that it replaces or extends.
    func options(for feedForward: FeedForward.Options) -> MixtureOfExperts.Options {
        var expert = feedForward
        expert.innerSize = expertInnerSize(feedForward.innerSize)
        expert.subNorm = nil
        if routing == .partial { expert.isGated = false }
        return MixtureOfExperts.Options(
            expert: expert, expertCount: count, choices: choices, order: routing.order,
            capacityFactor: capacityFactor, sequenceCapacity: sequenceCapacity,
            normalizesGates: routing == .top2, balanceLoss: balanceLoss, zLoss: zLoss, jitter: jitter)
    }
}

extension ExpertsConfiguration.Routing {
    /// The order in which tokens take their places.
    var order: FusedOperators.RoutingOrder {
        switch self {
        case .switch, .top2, .partial: .byPosition
        case .prioritized: .byPriority
        case .expertChoice: .byExpert
        }
    }
}
