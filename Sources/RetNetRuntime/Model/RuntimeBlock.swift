import RetNetArchitecture
import RetNetKernels

/// A norm over the channels of every row: RMS or layer, with or without weights and biases.
struct Norm {
    private let kind: rn_norm_kind
    private let epsilon: Double
    private let weight: UnsafePointer<Float>?
    private let bias: UnsafePointer<Float>?

    init(
        _ builder: inout ModelBuilder, _ name: String, size: Int, _ c: NormConfiguration, affine: Bool? = nil
    )
        throws
    {
        let affine = affine ?? c.affine
        kind = c.kind == .rms ? RN_RMS : RN_LAYER
        epsilon = c.epsilon
        weight = affine ? try builder.vector("\(name).weight", size) : nil
        bias = affine && c.kind == .layer ? try builder.vector("\(name).bias", size) : nil
    }

    func callAsFunction(_ x: Rows, _ pass: Pass) -> Rows {
        pass.normalize(x, kind, heads: 1, epsilon: epsilon, weight: weight, bias: bias)
    }
}

/// One block: a token mixer and a feed-forward, each with a norm and a residual (RetNet, equation 9).
///
///     Y  = X + Mixer(LN(X))
///     X' = Y + FFN(LN(Y))                              (the norm comes last without `pre_norm`)
///
/// With parallel residuals X' = X + Mixer(LN(X)) + FFN(LN'(X)).
struct MixerBlock {
    private let mixer: any RuntimeMixer
    private let mixerNorm: Norm
    private let feedForward: (norm: Norm, layer: any RuntimeFeedForward)?
    private let residualScale: Double
    private let preNorm: Bool
    private let isParallel: Bool
    /// The factor of everything added to the residual stream, and that of the stream behind the block.
    private let halving: (branch: Double, stream: Double)

    init(_ builder: inout ModelBuilder, _ c: LanguageModelConfiguration, layer: Int) throws {
        let kind = c.layer(layer)
        mixerNorm = try Norm(&builder, "mixer_norm", size: c.hiddenSize, c.norm)
        let place = MixerPlace(
            hiddenSize: c.hiddenSize, positionStride: c.positionStride(layer: layer))
        let convolution = try kind.shortConvolution.map {
            try ShortConvolution(
                &builder, "short_convolution", channels: c.hiddenSize, width: $0, bias: true,
                ring: "convolution_ring")
        }
        let own = try builder.scope("mixer") { try kind.mixer.makeRuntimeMixer(&$0, place) }
        mixer = convolution.map { ConvolvedMixer(convolution: $0, mixer: own) } ?? own
        feedForward =
            kind.feedForward.kind == .none
            ? nil
            : (
                try Norm(&builder, "feed_forward_norm", size: c.hiddenSize, c.norm),
                try builder.scope("feed_forward") { try kind.feedForward.makeLayer(&$0, c) }
            )
        residualScale = c.residualScale
        preNorm = c.preNorm
        isParallel = c.parallelResidual
        let halvings = c.halvingPeriod.map { (layer / $0, (layer + 1) % $0 == 0) }
        halving =
            halvings.map { (Double(sign: .plus, exponent: -$0.0, significand: 1), $0.1 ? 0.5 : 1) } ?? (1, 1)
    }

    /// Returns the rows behind the block; those of x may be written.
    func callAsFunction(_ x: Rows, _ pass: Pass) throws -> Rows {
        if isParallel { return try parallel(x, pass) }
        let mixed = try mixer.mix(preNorm ? mixerNorm(x, pass) : x, pass)
        var y = residual(x, mixed, mixerNorm, pass)
        if let (norm, layer) = feedForward {
            let fed = try layer(preNorm ? norm(y, pass) : y, pass)
            y = residual(y, fed, norm, pass)
        }
        return halved(y, pass)
    }

    private func parallel(_ x: Rows, _ pass: Pass) throws -> Rows {
        let mixed = try mixer.mix(mixerNorm(x, pass), pass)
        let fed = try feedForward.map { try $0.layer($0.norm(x, pass), pass) }
        pass.add(mixed, times: halving.branch, to: x, times: residualScale)
        if let fed { pass.add(fed, times: halving.branch, to: x) }
        return halved(x, pass)
    }

    private func residual(_ x: Rows, _ branch: Rows, _ norm: Norm, _ pass: Pass) -> Rows {
        pass.add(branch, times: halving.branch, to: x, times: residualScale)
        return preNorm ? x : norm(x, pass)
    }

    private func halved(_ x: Rows, _ pass: Pass) -> Rows {
        if halving.stream != 1 { pass.add(x, times: 0, to: x, times: halving.stream) }
        return x
    }
}
