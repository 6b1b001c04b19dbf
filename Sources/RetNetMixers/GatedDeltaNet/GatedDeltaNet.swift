import Foundation
import RetNetArchitecture
import RetNetLayers
import RetNetTorch

/// The delta rule: DeltaNet (arXiv 2406.06484) and Gated DeltaNet (arXiv 2412.06464).
///
///     Q, K, V = silu(conv(X W))      q, k divided by their lengths, q by √K too
///     β = r σ(X W_β)                 ln α = -e^a softplus(X W_α + b), where it decays
///     S_t = α_t (I - β_t k_tᵀ k_t) S_{t-1} + β_t k_tᵀ v_t     o_t = q_t S_t
///     Y = (HeadNorm(o) ⊙ swish(X W_G)) W_O
public struct GatedDeltaNet: TokenMixer {
    /// Sizes and choices.
    public let configuration: GatedDeltaNetConfiguration
    private let projections: [Linear]
    private let convolutions: [ShortConvolution]
    private let beta: Linear
    private let decay: (projection: Linear, stepBias: Tensor, log: Tensor)?
    private let gate: Linear?
    private let output: HeadOutput
    private let layout: MatrixStateLayout

    /// `gated_delta_net`.
    public var name: String { "gated_delta_net" }

    /// Added to the squared length of queries and keys.
    static let epsilon = 1e-6

    /// Declares `query`, `key`, `value` with their convolutions, `strength`, `decay`, `gate`, `head_norm`, `output`.
    public init(_ scope: ParameterScope, _ configuration: GatedDeltaNetConfiguration, _ context: LayerContext)
        throws
    {
        self.configuration = configuration
        let c = configuration
        let reading = Initializer.xavierUniform(gain: pow(2, -2.5))
        let (matrix, deepMatrix) = (context.initialization.matrix, context.initialization.deepMatrix)
        func linear(_ name: String, to: Int, _ initializer: Initializer) throws -> Linear {
            try Linear(
                scope.scope(name), from: context.hiddenSize, to: to, bias: false, initializer: initializer)
        }
        var projections: [Linear] = []
        var convolutions: [ShortConvolution] = []
        for (name, size) in c.convolved {
            projections.append(
                try linear(name, to: size, name == "value" ? deepMatrix(reading) : matrix(reading)))
            guard c.convolutionWidth > 1 else { continue }
            convolutions.append(
                try ShortConvolution(
                    scope.scope("\(name)_convolution"), channels: size, width: c.convolutionWidth,
                    bias: false))
        }
        self.projections = projections
        self.convolutions = convolutions
        beta = try linear("strength", to: c.headCount, matrix(reading))
        decay =
            c.decays
            ? (
                try linear("decay", to: c.headCount, matrix(reading)),
                try scope.parameter(
                    "step_bias", [c.headCount], .inverseSoftplusOfLogUniform(from: 1e-3, to: 0.1),
                    decays: false),
                try scope.parameter(
                    "decay_log", [c.headCount], .logarithmOfUniform(from: 0, to: 16), decays: false)
            ) : nil
        gate = c.gate == .none ? nil : try linear("gate", to: c.headCount * c.valueSize, matrix(reading))
        output = try HeadOutput(
            scope, norm: c.headNorm, gate: c.gate, headCount: c.headCount, valueSize: c.valueSize,
            hiddenSize: context.hiddenSize, initializer: deepMatrix(.xavierUniform(gain: 0.5)))
        layout = c.layout
    }

    /// True: what erases is a matrix of the state's rows.
    public var dividesSequences: Bool { true }

    /// Mixes x [B, T, D] → [B, T, D]; returns the state after the last position too.
    public func callAsFunction(_ x: Tensor, state: (any MixerState)?, _ pass: ForwardPass) throws
        -> (output: Tensor, state: any MixerState)
    {
        let c = configuration
        let previous = try layout.checked(state, batch: x.size(0))
        var rings: [(name: String, tensor: Tensor)] = []
        let convolved = try projections.enumerated().map { index, projection in
            let y = try projection(x)
            if convolutions.isEmpty {
                return try FusedOperators.gatedActivation(y, nil, activation: .swish)
            }
            let (z, ring) = try convolutions[index](
                y, ring: previous?.rings[index].tensor, in: pass.context.sequence, activation: .swish,
                isTraining: pass.context.isTraining)
            rings.append((layout.rings[index].name, ring))
            return z
        }
        let wide = x.elementType.accumulator
        let result = try MatrixRecurrence(
            query: unitHeads(convolved[0], scale: 1 / Double(c.keySize).squareRoot()),
            key: unitHeads(convolved[1], scale: 1), value: convolved[2].heads(c.headCount),
            logGates: decay.map {
                let steps = try ($0.projection(x).to(wide) + $0.stepBias.to(wide)).softplus()
                return try (steps * $0.log.to(wide).exp().negated()).transposed(1, 2)
            },
            beta: (beta(x).to(wide).sigmoid() * c.betaRange).transposed(1, 2),
            state: previous?.matrix
        ).fused(
            pass.form, in: pass.context.sequence, overwritesState: pass.context.overwritesStates,
            isTraining: pass.context.isTraining)
        return (
            try output(result.output, gate: gate?(x)), MatrixState(matrix: result.state, rings: rings)
        )
    }

    /// Returns rows divided by their lengths and times `scale`, [B, H, T, K], in the accumulator type.
    ///
    /// Rounding a key to a narrow type would change its length, and with it whether erasing is stable.
    private func unitHeads(_ x: Tensor, scale: Double) throws -> Tensor {
        let c = configuration
        let size = Double(c.keySize)
        let heads = try x.to(x.elementType.accumulator)
            .reshaped([x.size(0), x.size(1), c.headCount, c.keySize])
        // x / √(Σ x² + ε) = (x / √(mean x² + ε / K)) / √K
        let unit = try FusedOperators.rmsNorm(heads, weight: nil, epsilon: Self.epsilon / size)
        return try FusedOperators.rotateHeads(
            unit, cosine: nil, sine: nil, interleaved: false, scale: scale / size.squareRoot())
    }

    // MARK: State

    /// Returns zeros: nothing seen yet.
    public func initialState(batch: Int, elementType: ElementType, device: Device) throws -> any MixerState {
        try layout.initial(batch: batch, elementType: elementType, device: device)
    }

    /// Returns a state of the tensors `memory` and the rings of the convolutions.
    public func state(from tensors: [String: Tensor]) throws -> any MixerState {
        try layout.state(from: tensors)
    }
}

extension GatedDeltaNetConfiguration: MixerBuilding {
    /// Returns a layer with the delta rule of these sizes.
    public func makeMixer(_ scope: ParameterScope, _ context: LayerContext) throws -> any TokenMixer {
        try GatedDeltaNet(scope, self, context)
    }
}
