import Foundation
import RetNetArchitecture
import RetNetLayers
import RetNetTorch

/// Retention with a data-dependent decay per head and position (gRet: YOCO, arXiv 2405.05254, section 3.2).
///
///     Q = X W_Q     K = X W_K / √K     V = X W_V        rotate Q and K by absolute position
///     ln γ = ln σ(X W_γ) / 16                           one number per head and position
///     S_t = γ_t S_{t-1} + k_tᵀ v_t     o_t = q_t S_t
///     Y = (swish(X W_G) ⊙ HeadNorm(o)) W_O
///
/// With a constant gate it is multi-scale retention.
public struct GatedRetention: TokenMixer {
    /// Sizes and choices, with the heads of this rank where ranks have parts of the layers.
    public let configuration: GatedRetentionConfiguration
    private let group: (any RankGroup)?
    private let query: Linear
    private let key: Linear
    private let value: Linear
    private let decay: Linear
    private let gate: Linear?
    private let output: HeadOutput
    private let rotation: Rotation
    private let layout: MatrixStateLayout

    /// `gated_retention`.
    public var name: String { "gated_retention" }

    /// Declares `query`, `key`, `value`, `decay`, `gate`, `head_norm` and `output`.
    public init(
        _ scope: ParameterScope, _ configuration: GatedRetentionConfiguration, _ context: LayerContext
    )
        throws
    {
        group = scope.group
        self.configuration = configuration.divided(between: scope.group?.count ?? 1)
        let c = configuration
        // As multi-scale retention: gain 2^-2.5 for what reads, 2^-1 for the output.
        let reading = Initializer.xavierUniform(gain: pow(2, -2.5))
        let (matrix, deepMatrix) = (context.initialization.matrix, context.initialization.deepMatrix)
        func linear(_ name: String, to: Int, _ initializer: Initializer) throws -> Linear {
            try Linear(
                scope.scope(name), from: context.hiddenSize, to: to, bias: false, initializer: initializer,
                dividing: .outputs)
        }
        query = try linear("query", to: c.headCount * c.keySize, matrix(reading))
        key = try linear("key", to: c.headCount * c.keySize, matrix(reading))
        value = try linear("value", to: c.headCount * c.valueSize, deepMatrix(reading))
        decay = try linear("decay", to: c.headCount, matrix(reading))
        gate = c.gate == .none ? nil : try linear("gate", to: c.headCount * c.valueSize, matrix(reading))
        output = try HeadOutput(
            scope, norm: c.headNorm, gate: c.gate, headCount: c.headCount, valueSize: c.valueSize,
            hiddenSize: context.hiddenSize, initializer: deepMatrix(.xavierUniform(gain: 0.5)))
        rotation = Rotation(c.rotation, keySize: c.keySize)
        layout = self.configuration.layout
    }

    /// True: the state decays by known gates.
    public var dividesSequences: Bool { true }

    /// Mixes x [B, T, D] → [B, T, D]; returns the state after the last position too.
    public func callAsFunction(_ x: Tensor, state: (any MixerState)?, _ pass: ForwardPass) throws
        -> (output: Tensor, state: any MixerState)
    {
        let c = configuration
        let x = try group?.entering(x) ?? x
        let previous = try layout.checked(state, batch: x.size(0))
        let table = try rotation.table(x, pass)
        let retained = try MatrixRecurrence(
            query: rotation.heads(query(x), c.headCount, by: table),
            key: rotation.heads(key(x), c.headCount, by: table, scale: 1 / Double(c.keySize).squareRoot()),
            value: value(x).heads(c.headCount),
            logGates: decay(x).logGates(dividedBy: c.gateDivisor).transposed(1, 2),
            state: previous?.matrix
        ).fused(pass.form, in: pass.context.sequence, overwritesState: pass.context.overwritesStates)
        return (try output(retained.output, gate: gate?(x)), MatrixState(matrix: retained.state))
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

    /// Returns the state with every key pair of S turned by -offset · θ, so that positions may start again lower.
    public func rebased(_ state: any MixerState, by offsets: [Int]) throws -> any MixerState {
        guard let state = try layout.checked(state, batch: offsets.count), !rotation.isIdentity else {
            return state
        }
        return MatrixState(matrix: try rotation.rebased(state.matrix, by: offsets))
    }
}

extension GatedRetentionConfiguration: MixerBuilding {
    /// Returns gated retention of these sizes.
    public func makeMixer(_ scope: ParameterScope, _ context: LayerContext) throws -> any TokenMixer {
        try GatedRetention(scope, self, context)
    }
}
