import Foundation
import RetNetLayers
import RetNetTorch

/// Gated linear attention (GLA, arXiv 2312.06635): a data-dependent decay per key channel.
///
///     Q = X W_Q / √K     K = X W_K     V = X W_V
///     ln α = ln σ(X W₁ W₂ + b) / 16                     one number per key channel and position
///     S_t = diag(α_t) S_{t-1} + k_tᵀ v_t     o_t = q_t S_t
///     Y = (swish(X W_G) ⊙ HeadNorm(o)) W_O
public struct GatedLinearAttention: TokenMixer {
    /// Sizes and choices.
    public let configuration: GatedLinearAttentionConfiguration
    private let query: Linear
    private let key: Linear
    private let value: Linear
    private let decayDown: Linear
    private let decayUp: Linear
    private let gate: Linear?
    private let output: HeadOutput
    private let layout: MatrixStateLayout

    /// `gated_linear_attention`.
    public var name: String { "gated_linear_attention" }

    /// Declares `query`, `key`, `value`, `decay_down`, `decay_up`, `gate`, `head_norm` and `output`.
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
        query = try linear("query", from: width, to: keys, matrix(reading))
        key = try linear("key", from: width, to: keys, matrix(reading))
        value = try linear("value", from: width, to: values, deepMatrix(reading))
        decayDown = try linear("decay_down", from: width, to: c.gateRank, matrix(reading))
        decayUp = try linear("decay_up", from: c.gateRank, to: keys, bias: true, matrix(reading))
        gate = c.gate == .none ? nil : try linear("gate", from: width, to: values, matrix(reading))
        output = try HeadOutput(
            scope, norm: c.headNorm, gate: c.gate, headCount: c.headCount, valueSize: c.valueSize,
            hiddenSize: width, initializer: deepMatrix(.xavierUniform(gain: 0.5)))
        layout = MatrixStateLayout(
            mixer: "gated_linear_attention", matrix: [c.headCount, c.keySize, c.valueSize])
    }

    /// Mixes x [B, T, D] → [B, T, D]; returns the state after the last position too.
    public func callAsFunction(_ x: Tensor, state: (any MixerState)?, _ pass: ForwardPass) throws
        -> (output: Tensor, state: any MixerState)
    {
        let c = configuration
        let previous = try layout.checked(state, batch: x.size(0))
        let attended = try MatrixRecurrence(
            query: query(x).heads(c.headCount, scale: 1 / Double(c.keySize).squareRoot()),
            key: key(x).heads(c.headCount), value: value(x).heads(c.headCount),
            logGates: decayUp(decayDown(x)).logGates(dividedBy: c.gateDivisor).heads(c.headCount),
            state: previous?.matrix
        ).fused(pass.form, overwritesState: pass.context.overwritesStates)
        return (try output(attended.output, gate: gate?(x)), MatrixState(matrix: attended.state))
    }

    // MARK: State

    /// Returns zeros: nothing seen yet.
    public func initialState(batch: Int, elementType: ElementType, device: Device) throws -> any MixerState {
        try layout.initial(batch: batch, elementType: elementType, device: device)
    }

    /// Returns a state of the tensor `memory`.
    public func state(from tensors: [String: Tensor]) throws -> any MixerState {
        try layout.state(from: tensors)
    }
}
