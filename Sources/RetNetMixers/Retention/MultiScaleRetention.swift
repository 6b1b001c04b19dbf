import Foundation
import RetNetLayers
import RetNetTorch

/// Gated multi-scale retention (RetNet, arXiv 2307.08621, equation 8).
///
///     Q = X W_Q     K = X W_K / √a     V = X W_V     G = X W_G        rotate Q and K by absolute position
///     headᵢ = Retention(Qᵢ, Kᵢ, Vᵢ; γᵢ)              one decay a head
///     MSR = (swish(G) ⊙ HeadNorm(head₁ … headₕ)) W_O
///
/// B batch, T time, D model width, H heads, A key size, V value size.
public struct MultiScaleRetention: TokenMixer {
    /// Sizes and choices.
    public let configuration: RetentionConfiguration
    private let query: Linear
    private let key: Linear
    private let value: Linear
    private let gate: Linear?
    private let headNormWeight: Tensor?
    private let headNormBias: Tensor?
    private let output: Linear
    private let logGammas: [Double]
    private let angles: [Double]
    let positionStride: Int

    /// `retention`.
    public var name: String { "retention" }

    /// Declares `query`, `key`, `value`, `gate`, `head_norm` and `output`.
    public init(
        _ scope: ParameterScope, _ configuration: RetentionConfiguration, _ context: LayerContext
    ) throws {
        self.configuration = configuration
        let c = configuration
        let hiddenSize = context.hiddenSize
        // torchscale multiscale_retention.py, HEAD 4d1e0e8: gain 2^-2.5 for what reads, 2^-1 for the output.
        let reading = Initializer.xavierUniform(gain: pow(2, -2.5))
        let writing = Initializer.xavierUniform(gain: context.initialization.retentionOutputGain ?? 0.5)
        let (matrix, deepMatrix) = (context.initialization.matrix, context.initialization.deepMatrix)
        let keyValueHeads = c.keyValueHeadCount ?? c.headCount
        let valueWidth = c.headCount * c.valueSize
        func linear(_ name: String, from: Int, to: Int, _ initializer: Initializer) throws -> Linear {
            try Linear(scope.scope(name), from: from, to: to, bias: c.biases, initializer: initializer)
        }
        query = try linear("query", from: hiddenSize, to: c.headCount * c.keySize, matrix(reading))
        key = try linear("key", from: hiddenSize, to: keyValueHeads * c.keySize, matrix(reading))
        value = try linear("value", from: hiddenSize, to: keyValueHeads * c.valueSize, deepMatrix(reading))
        gate = c.gate == .none ? nil : try linear("gate", from: hiddenSize, to: valueWidth, matrix(reading))
        (headNormWeight, headNormBias) = try Self.headNormParameters(scope.scope("head_norm"), c)
        output = try linear("output", from: valueWidth, to: hiddenSize, deepMatrix(writing))
        positionStride = context.positionStride
        let stride = Double(positionStride)
        logGammas = c.decay.logGammas(headCount: c.headCount).map { $0 * stride }
        angles = c.rotation.angles(keySize: c.keySize).map { $0 * stride }
    }

    private static func headNormParameters(_ scope: ParameterScope, _ c: RetentionConfiguration) throws
        -> (weight: Tensor?, bias: Tensor?)
    {
        guard c.headNorm.kind != .none, c.headNorm.affine != .none else { return (nil, nil) }
        let size = c.headNorm.affine == .shared ? c.valueSize : c.headCount * c.valueSize
        let weight = try scope.parameter("weight", [size], .constant(1))
        let bias = c.headNorm.kind == .layer ? try scope.parameter("bias", [size], .constant(0)) : nil
        return (weight, bias)
    }

    /// x [B, T, D] → [B, T, D] and the state after the last position.
    public func callAsFunction(_ x: Tensor, state: (any MixerState)?, _ pass: ForwardPass) throws
        -> (output: Tensor, state: any MixerState)
    {
        if let reason = unsupportedReason(for: pass.form) {
            throw MixerError.unsupportedForm(mixer: name, form: pass.form, reason: reason)
        }
        let previous = try checked(state, batch: x.size(0))
        let (q, k, v) = try heads(x, pass)
        let (numerators, next, scoreSums) = try retain(q, k, v, previous, pass.form)
        let epsilons = try foldedEpsilons(q, k, scoreSums: scoreSums, previous, pass)
        let normalized = try normalize(numerators, gate: try gate?(x), epsilons)
        return (try output(normalized), next)
    }

    /// Only the sum of absolute scores cannot be carried in a state.
    public func unsupportedReason(for form: MixerForm) -> String? {
        configuration.unsupportedReason(for: form)
    }

    // MARK: Projections

    /// Q, K (scaled by a^-½) rotated, and V, as [B, H, T, ·].
    private func heads(_ x: Tensor, _ pass: ForwardPass) throws -> (Tensor, Tensor, Tensor) {
        let c = configuration
        let (batch, time) = (x.size(0), x.size(1))
        let keyValueHeads = c.keyValueHeadCount ?? c.headCount
        let group = c.headCount / keyValueHeads
        let table = try rotaryTable(length: time, pass, x)
        let interleaved = c.rotation == .interleaved
        let q = try FusedOperators.rotateHeads(
            query(x).reshaped([batch, time, c.headCount, c.keySize]), cosine: table.first, sine: table.last,
            interleaved: interleaved, scale: 1)
        let k = try FusedOperators.rotateHeads(
            key(x).reshaped([batch, time, keyValueHeads, c.keySize]), cosine: table.first, sine: table.last,
            interleaved: interleaved, scale: 1 / Double(c.keySize).squareRoot())
        let v = try FusedOperators.rotateHeads(
            value(x).reshaped([batch, time, keyValueHeads, c.valueSize]), cosine: nil, sine: nil,
            interleaved: false, scale: 1)
        return (q, try k.repeatInterleaved(group, axis: 1), try v.repeatInterleaved(group, axis: 1))
    }

    private func rotaryTable(length: Int, _ pass: ForwardPass, _ x: Tensor) throws -> [Tensor] {
        guard !angles.isEmpty else { return [] }
        let type = x.elementType.accumulator
        return try pass.sharing("rotary \(configuration.rotation) \(configuration.keySize)") {
            try RotaryTable.make(
                angles: angles, starts: pass.positions.map(\.position), length: length, type: type,
                device: x.device)
        }
    }

    // MARK: Retention

    /// Raw numerators, the next state and, with `decay_abs_sum`, the raw score sums [B, H, T].
    private func retain(_ q: Tensor, _ k: Tensor, _ v: Tensor, _ previous: RetentionState?, _ form: MixerForm)
        throws
        -> (Tensor, RetentionState, Tensor?)
    {
        let retained = try Retention.fused(
            q, k, v, state: previous?.memory, logGammas: logGammas, form: form)
        guard configuration.normalization == .decayAbsSum else {
            return (retained.output, RetentionState(memory: retained.state, keySum: nil), nil)
        }
        // The sum of scores is retention of the value 1, and z the state of that column.
        let (sums, z) = try withoutGradients {
            let wide = q.elementType.accumulator
            let ones = try Tensor.ones([q.size(0), q.size(1), q.size(2), 1], wide, on: q.device)
            let result = try Retention.fused(
                q.detached().to(wide), k.detached().to(wide), ones,
                state: previous?.keySum?.detached().unsqueezed(-1), logGammas: logGammas, form: form)
            return (try result.output.squeezed(-1), try result.state.squeezed(-1))
        }
        return (retained.output, RetentionState(memory: retained.state, keySum: z), sums)
    }

    // MARK: Score normalisation

    /// eps · (wₙ cₙ²): the head norm's epsilon for raw numerators, as normalising scores by √wₙ cₙ demands.
    ///
    /// RMSNorm(o / s; eps) = o / √(mean(o²) + eps s²). Applying the factor to eps instead of the scores is what
    /// makes all forms agree at any eps: states and numerators stay raw. Shape [B or 1, H, T], or one number.
    private func foldedEpsilons(
        _ q: Tensor, _ k: Tensor, scoreSums: Tensor?, _ previous: RetentionState?, _ pass: ForwardPass
    ) throws -> Tensor {
        let c = configuration
        let type = q.elementType.accumulator
        let epsilon = c.headNorm.kind == .none ? 1 : c.headNorm.epsilon
        guard c.normalization != .none else { return try Tensor.full([1], epsilon, type, on: q.device) }
        let sums = try pass.sharing("decay sums \(c.decay) \(c.headCount)") {
            [
                try ScoreNormalizer.decaySums(
                    logGammas: logGammas, counts: pass.positions.map(\.count), length: q.size(2), type: type,
                    device: q.device)
            ]
        }[0]
        switch c.normalization {
        case .none, .decay:
            return try sums * epsilon
        case .decayAbsSum:
            guard let scoreSums else { return try sums * epsilon }
            // c = max(|Σ R̃|, 1) with R̃ = scores / √w
            let factor = try (scoreSums.abs() / sums.sqrt()).maximum(1)
            return try sums * factor.power(2) * epsilon
        case .decaySumAbs:
            guard previous == nil else {
                throw MixerError.unsupportedForm(
                    mixer: name, form: pass.form,
                    reason: "normalization 'decay_sum_abs' cannot continue from a state")
            }
            let absolute = try withoutGradients {
                try Retention.absoluteScoreSums(q.detached(), k.detached(), logGammas: logGammas)
            }
            // torchscale clamps at 5e4 as well; the paper does not.
            let factor = try (absolute / sums.sqrt()).clamped(1, 5e4)
            return try sums * factor.power(2) * epsilon
        }
    }

    /// Head norm and gate: numerators [B, H, T, V] → [B, T, H·V].
    private func normalize(_ numerators: Tensor, gate: Tensor?, _ epsilons: Tensor) throws -> Tensor {
        let c = configuration
        let activation: FusedOperators.Activation =
            switch c.gate {
            case .swish: .swish
            case .gelu: .gelu
            case .none: .none
            }
        if c.headNorm.kind != .none {
            return try FusedOperators.headNormGate(
                numerators, gate: gate, epsilons: epsilons, weight: try perHead(headNormWeight),
                bias: try perHead(headNormBias), kind: c.headNorm.kind == .rms ? .rms : .layer,
                activation: activation)
        }
        // Without a norm nothing removes the scale, so the factors are applied to the numerators themselves.
        let scaled =
            epsilons.elementCount == 1
            ? numerators
            : try (numerators.to(epsilons.elementType) * epsilons.rsqrt().unsqueezed(-1)).to(
                numerators.elementType)
        let flat = try scaled.permuted([0, 2, 1, 3]).reshaped([
            scaled.size(0), scaled.size(2), c.headCount * c.valueSize,
        ])
        guard let gate else { return flat }
        return try FusedOperators.gatedActivation(gate, flat, activation: activation)
    }

    private func perHead(_ parameter: Tensor?) throws -> Tensor? {
        guard let parameter, configuration.headNorm.affine == .shared else { return parameter }
        return try parameter.unsqueezed(0).expanded([configuration.headCount, configuration.valueSize])
            .reshaped([configuration.headCount * configuration.valueSize])
    }
}
