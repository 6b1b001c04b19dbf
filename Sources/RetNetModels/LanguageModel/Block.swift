import Foundation
import RetNetArchitecture
import RetNetLayers
import RetNetMixers
import RetNetTorch

/// One block of a model with its state, as ``BlockStack`` applies it.
protocol Block: StatefulLayer {
    /// Names of the auxiliary losses that a training pass adds, in order.
    var auxiliaryLossNames: [String] { get }
    func unsupportedReason(for form: MixerForm) -> String?
    /// True if the block can run a ``TokenForest``.
    var supportsForests: Bool { get }
    /// True if a recurrent step of the block can be recorded.
    var supportsRecording: Bool { get }
    /// True if the block runs by itself where sequences lie on several ranks; else the ranks run it one after another.
    var dividesSequences: Bool { get }
    /// Maps x [B, T, D] → [B, T, D] with the residual sums inside, and returns the state after the last position.
    func callAsFunction(_ x: Tensor, state: (any MixerState)?, _ pass: ForwardPass) throws
        -> (output: Tensor, state: any MixerState)
    func initialState(batch: Int, elementType: ElementType, device: Device) throws -> any MixerState
    /// Returns the state with every row moved from its given position to position 0.
    func rebased(_ state: any MixerState, from positions: [SequencePosition]) throws -> any MixerState
    func state(from tensors: [String: Tensor]) throws -> any MixerState
}

/// One block of a language model: a token mixer and a feed-forward, each with a norm and a residual.
///
///     Y  = X + Mixer(LN(X))
///     X' = Y + FFN(LN(Y))                              (paper Eq. 9; the norm comes last without `preNorm`)
///
/// With parallel residuals X' = X + Mixer(LN(X)) + FFN(LN'(X)).
struct MixerBlock {
    let mixer: any TokenMixer
    private let mixerNorm: Norm
    let feedForward: (norm: Norm, layer: any FeedForwardLayer)?
    private let residualScale: Double
    private let preNorm: Bool
    private let isParallel: Bool
    /// The factor of everything added to the residual stream, and that of the stream behind the block.
    private let halving: (branch: Double, stream: Double)
    private let dropout: Double
    private let dropPath: Double

    init(
        _ scope: ParameterScope, _ configuration: LanguageModelConfiguration, layer: Int,
        _ wholeLayers: (index: [Int], count: Int), _ initializers: ModelInitializers
    ) throws {
        let c = configuration
        let kind = c.layer(layer)
        func norm(_ name: String) throws -> Norm { try Norm(scope.scope(name), size: c.hiddenSize, c.norm) }
        mixerNorm = try norm("mixer_norm")
        let context = LayerContext(
            hiddenSize: c.hiddenSize, layer: wholeLayers.index[layer], layerCount: wholeLayers.count,
            initialization: initializers.mixer, positionStride: c.positionStride(layer: layer))
        mixer = try kind.makeMixer(scope, context)
        feedForward =
            kind.feedForward.kind == .none
            ? nil
            : (
                try norm("feed_forward_norm"),
                try Self.layer(scope.scope("feed_forward"), kind.feedForward, c, initializers)
            )
        residualScale = c.residualScale
        preNorm = c.preNorm
        isParallel = c.parallelResidual
        halving =
            c.halvingPeriod.map { (scalbn(1, -(layer / $0)), (layer + 1) % $0 == 0 ? 0.5 : 1) } ?? (1, 1)
        dropout = c.dropout.residual
        dropPath = c.layerCount > 1 ? c.dropout.dropPath * Double(layer) / Double(c.layerCount - 1) : 0
    }

    private static func layer(
        _ scope: ParameterScope, _ feedForward: FeedForwardConfiguration, _ c: LanguageModelConfiguration,
        _ initializers: ModelInitializers
    ) throws -> any FeedForwardLayer {
        let options = options(feedForward, c, initializers)
        guard let experts = feedForward.experts else { return try FeedForward(scope, options) }
        let mixture = try MixtureOfExperts(scope, experts.options(for: options))
        guard experts.keepsFeedForward else { return mixture }
        return PartialExperts(mixture, beside: try FeedForward(scope, options))
    }

    private static func options(
        _ feedForward: FeedForwardConfiguration, _ c: LanguageModelConfiguration,
        _ initializers: ModelInitializers
    ) -> FeedForward.Options {
        FeedForward.Options(
            hiddenSize: c.hiddenSize, innerSize: feedForward.innerSize, isGated: feedForward.kind == .gated,
            activation: feedForward.activation.fused, biases: feedForward.biases,
            subNorm: feedForward.subNorm ? (c.norm.kind.fused, c.norm.epsilon) : nil,
            activationDropout: c.dropout.activation, initializer: initializers.feedForward,
            gateInitializer: initializers.feedForwardGate)
    }

    func callAsFunction(_ x: Tensor, state: (any MixerState)?, _ pass: ForwardPass) throws
        -> (output: Tensor, state: any MixerState)
    {
        if pass.context.isTraining, let norms = fusibleNorms {
            let (stream, branch, next) = try fused(norms, x, adding: nil, state: state, pass)
            return (try StepProfile.part(.norms) { try FusedOperators.residualAdd(stream, branch) }, next)
        }
        let (mixed, next) = try mix(preNorm ? normed(x, mixerNorm) : x, state, pass)
        var y = try residual(x, mixed, mixerNorm, pass.context)
        if let (norm, layer) = feedForward {
            let input = isParallel ? x : y
            let fed = try feed(preNorm ? normed(input, norm) : input, layer, pass)
            y = try isParallel ? y + branch(fed, pass.context) : residual(y, fed, norm, pass.context)
        }
        return (halving.stream == 1 ? y : try y * halving.stream, next)
    }

    private func normed(_ x: Tensor, _ norm: Norm) throws -> Tensor {
        try StepProfile.part(.norms) { try norm(x) }
    }

    private func mix(_ x: Tensor, _ state: (any MixerState)?, _ pass: ForwardPass) throws
        -> (output: Tensor, state: any MixerState)
    {
        try StepProfile.part(.mixer) { try mixer.mix(x, state: state, pass) }
    }

    private func feed(_ x: Tensor, _ layer: any FeedForwardLayer, _ pass: ForwardPass) throws -> Tensor {
        try StepProfile.part(.feedForward) { try layer(x, pass.context) }
    }

    // MARK: Residual sums and norms in one pass

    /// The norms of the block, where a residual sum and the norm behind it can be one pass: norms with trained parameters in
    /// front of layers that stand one after the other, and a stream that nothing scales.
    var fusibleNorms: FusibleNorms? {
        guard preNorm, !isParallel, residualScale == 1, halving.stream == 1,
            let first = FusibleNorm(mixerNorm)
        else { return nil }
        guard let feedForward else { return (first, nil) }
        return FusibleNorm(feedForward.norm).map { (first, $0) }
    }

    typealias FusibleNorms = (mixer: FusibleNorm, feedForward: FusibleNorm?)

    /// A norm that ``FusedOperators`` have together with the sum before it.
    struct FusibleNorm {
        let weight: Tensor
        /// The bias of a layer norm; nil for an RMS norm.
        let bias: Tensor?
        let epsilon: Double

        init?(_ norm: Norm) {
            guard let weight = norm.weight, (norm.kind == .layer) == (norm.bias != nil) else { return nil }
            self.weight = weight
            bias = norm.bias
            epsilon = norm.epsilon
        }

        /// Returns the norm of stream + branch, and that sum.
        func callAsFunction(_ stream: Tensor, adding branch: Tensor?) throws -> (
            normed: Tensor, stream: Tensor
        ) {
            try StepProfile.part(.norms) {
                if branch == nil, bias == nil {
                    return (try FusedOperators.rmsNorm(stream, weight: weight, epsilon: epsilon), stream)
                }
                return try FusedOperators.residualNorm(
                    stream, adding: branch, weight: weight, bias: bias, epsilon: epsilon,
                    as: stream.elementType)
            }
        }
    }

    /// Does the same for the residual stream `x + pending`, whose sum is formed by the first norm; returns the stream and what
    /// is still to be added to it.
    func fused(
        _ norms: FusibleNorms, _ x: Tensor, adding pending: Tensor?,
        state: (any MixerState)?, _ pass: ForwardPass
    ) throws -> (stream: Tensor, branch: Tensor, state: any MixerState) {
        let (first, stream) = try norms.mixer(x, adding: pending)
        let (mixed, next) = try mix(first, state, pass)
        guard let norm = norms.feedForward, let layer = feedForward?.layer else {
            return (stream, try branch(mixed, pass.context), next)
        }
        let (second, sum) = try norm(stream, adding: branch(mixed, pass.context))
        return (sum, try branch(feed(second, layer, pass), pass.context), next)
    }

    /// Returns what is added to the residual stream of the output of a mixer or feed-forward.
    private func branch(_ output: Tensor, _ context: ForwardContext) throws -> Tensor {
        var branch = try Dropout.apply(output, probability: dropout, context)
        branch = try Dropout.dropPath(branch, probability: dropPath, context)
        return halving.branch == 1 ? branch : try branch * halving.branch
    }

    private func residual(_ x: Tensor, _ output: Tensor, _ norm: Norm, _ context: ForwardContext) throws
        -> Tensor
    {
        try StepProfile.part(.norms) {
            let sum = try (residualScale == 1 ? x : x * residualScale) + branch(output, context)
            return preNorm ? sum : try norm(sum)
        }
    }
}

extension MixerBlock: Block {
    var auxiliaryLossNames: [String] { feedForward?.layer.auxiliaryLossNames ?? [] }

    func unsupportedReason(for form: MixerForm) -> String? { mixer.unsupportedReason(for: form) }

    var supportsForests: Bool { mixer.supportsForests }
    /// Experts read back which tokens they get.
    var supportsRecording: Bool {
        mixer.supportsRecording && (feedForward.map { $0.layer is FeedForward } ?? true)
    }

    /// True: where the mixer does not, it alone runs rank by rank.
    var dividesSequences: Bool { true }

    func initialState(batch: Int, elementType: ElementType, device: Device) throws -> any MixerState {
        try mixer.initialState(batch: batch, elementType: elementType, device: device)
    }

    func rebased(_ state: any MixerState, from positions: [SequencePosition]) throws -> any MixerState {
        try mixer.rebased(state, by: positions.map(\.position))
    }

    func state(from tensors: [String: Tensor]) throws -> any MixerState { try mixer.state(from: tensors) }
}
