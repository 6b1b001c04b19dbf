import Foundation
import RetNetArchitecture
import RetNetLayers
import RetNetTorch

/// Gated linear attention (GLA, arXiv 2312.06635): a data-dependent decay per key channel.
///
///     Q = X W_Q / √K     K = X W_K     V = X W_V
///     ln α = ln σ(X W₁ W₂ + b) / 16                     one number per key channel and position
///     S_t = diag(α_t) S_{t-1} + k_tᵀ v_t     o_t = q_t S_t
///     Y = (swish(X W_G) ⊙ HeadNorm(o)) W_O
///
/// Q, K and V may pass a short convolution and swish each, and ln α may have a lower limit, as in fla.
public struct GatedLinearAttention: TokenMixer {
    /// Sizes and choices.
    public let configuration: GatedLinearAttentionConfiguration
    private let projections: [Linear]
    private let convolutions: [ShortConvolution]
    private let decayDown: Linear
    private let decayUp: Linear
    private let gate: Linear?
    private let output: HeadOutput
    private let layout: MatrixStateLayout

    /// `gated_linear_attention`.
    public var name: String { "gated_linear_attention" }

    /// Declares `query`, `key`, `value` with their convolutions, `decay_down`, `decay_up`, `gate`, `head_norm` and `output`.
    public init(
        _ scope: ParameterScope, _ configuration: GatedLinearAttentionConfiguration, _ context: LayerContext
    ) throws {
        self.configuration = configuration
        let c = configuration
        let (keys, values, width) = (c.headCount * c.keySize, c.headCount * c.valueSize, context.hiddenSize)
        let reading = Initializer.xavierUniform(gain: pow(2, -2.5))
        let (matrix, deepMatrix) = (context.initialization.matrix, context.initialization.deepMatrix)
        func linear(_ name: String, from: Int, to: Int, bias: Bool = false, _ initializer: Initializer) throws
            -> Linear
        {
            try Linear(scope.scope(name), from: from, to: to, bias: bias, initializer: initializer)
        }
        projections = try c.convolved.map { name, size in
            try linear(
                name, from: width, to: size, name == "value" ? deepMatrix(reading) : matrix(reading))
        }
        convolutions =
            c.convolutionWidth > 1
            ? try c.convolved.map { name, size in
                try ShortConvolution(
                    scope.scope("\(name)_convolution"), channels: size, width: c.convolutionWidth, bias: false
                )
            } : []
        decayDown = try linear("decay_down", from: width, to: c.gateRank, matrix(reading))
        decayUp = try linear("decay_up", from: c.gateRank, to: keys, bias: true, matrix(reading))
        gate = c.gate == .none ? nil : try linear("gate", from: width, to: values, matrix(reading))
        output = try HeadOutput(
            scope, norm: c.headNorm, gate: c.gate, headCount: c.headCount, valueSize: c.valueSize,
            hiddenSize: width, initializer: deepMatrix(.xavierUniform(gain: 0.5)))
        layout = c.layout
    }

    /// True: the state decays by known gates.
    public var dividesSequences: Bool { true }

    /// Mixes x [B, T, D] → [B, T, D]; returns the state after the last position too.
    public func callAsFunction(_ x: Tensor, state: (any MixerState)?, _ pass: ForwardPass) throws
        -> (output: Tensor, state: any MixerState)
    {
        let c = configuration
        let previous = try layout.checked(state, batch: x.size(0))
        var rings: [(name: String, tensor: Tensor)] = []
        let projected = try projections.enumerated().map { index, projection in
            let y = try projection(x)
            guard !convolutions.isEmpty else { return y }
            let (z, ring) = try convolutions[index](
                y, ring: previous?.rings[index].tensor, in: pass.context.sequence, activation: .swish,
                isTraining: pass.context.isTraining)
            rings.append((layout.rings[index].name, ring))
            return z
        }
        var gates = try decayUp(decayDown(x)).logGates(dividedBy: c.gateDivisor)
        if let lowest = c.minimumLogGate { gates = try gates.maximum(lowest) }
        let attended = try MatrixRecurrence(
            query: projected[0].heads(c.headCount, scale: 1 / Double(c.keySize).squareRoot()),
            key: projected[1].heads(c.headCount), value: projected[2].heads(c.headCount),
            logGates: gates.heads(c.headCount), state: previous?.matrix
        ).fused(pass.form, in: pass.context.sequence, overwritesState: pass.context.overwritesStates)
        return (
            try output(attended.output, gate: gate?(x)), MatrixState(matrix: attended.state, rings: rings)
        )
    }

    // MARK: State

    /// Returns zeros: nothing seen yet.
    public func initialState(batch: Int, elementType: ElementType, device: Device) throws -> any MixerState {
        try layout.initial(batch: batch, elementType: elementType, device: device)
    }

    /// Returns a state of the tensor `memory` and the rings of the convolutions.
    public func state(from tensors: [String: Tensor]) throws -> any MixerState {
        try layout.state(from: tensors)
    }
}

extension GatedLinearAttentionConfiguration: MixerBuilding {
    /// Returns gated linear attention of these sizes.
    public func makeMixer(_ scope: ParameterScope, _ context: LayerContext) throws -> any TokenMixer {
        try GatedLinearAttention(scope, self, context)
    }
}
