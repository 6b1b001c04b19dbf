import Foundation
import RetNetArchitecture
import RetNetLayers
import RetNetTorch

/// A layer of linear attention: the Linear Transformer (arXiv 2006.16236), or its relative without the normalizer.
///
///     Q = φ(X W_Q)     K = φ(X W_K)     V = X W_V     Y = LinearAttention(Q, K, V) W_O
///
/// Without the normalizer the product is scaled by a^-½ and each head's output goes through an RMS norm, as in
/// retention without decay and gate.
public struct LinearAttentionLayer: TokenMixer {
    /// Sizes and choices, with the heads of this rank where ranks have parts of the layers.
    public let configuration: LinearAttentionConfiguration
    private let group: (any RankGroup)?
    private let query: Linear
    private let key: Linear
    private let value: Linear
    private let output: Linear
    private let rotation: Rotation

    /// `linear attention`.
    public var name: String { "linear attention" }

    /// Declares `query`, `key`, `value` and `output`.
    public init(
        _ scope: ParameterScope, _ configuration: LinearAttentionConfiguration, _ context: LayerContext
    )
        throws
    {
        group = scope.group
        self.configuration = configuration.divided(between: scope.group?.count ?? 1)
        let c = configuration
        let reading = Initializer.xavierUniform(gain: 0.5.squareRoot())
        let (matrix, deepMatrix) = (context.initialization.matrix, context.initialization.deepMatrix)
        func linear(
            _ name: String, from: Int, to: Int, _ initializer: Initializer,
            dividing: Linear.Division = .outputs
        ) throws -> Linear {
            try Linear(
                scope.scope(name), from: from, to: to, bias: c.biases, initializer: initializer,
                dividing: dividing)
        }
        query = try linear("query", from: context.hiddenSize, to: c.width, matrix(reading))
        key = try linear("key", from: context.hiddenSize, to: c.width, matrix(reading))
        value = try linear("value", from: context.hiddenSize, to: c.width, deepMatrix(reading))
        output = try linear(
            "output", from: c.width, to: context.hiddenSize, deepMatrix(.xavierUniform(gain: 1)),
            dividing: .inputs)
        rotation = Rotation(c.rotation, keySize: c.headSize)
    }

    /// True: S and z are sums.
    public var dividesSequences: Bool { true }

    /// Mixes x [B, T, D] → [B, T, D]; returns the state after the last position too.
    public func callAsFunction(_ x: Tensor, state: (any MixerState)?, _ pass: ForwardPass) throws
        -> (output: Tensor, state: any MixerState)
    {
        guard x.size(1) > 0 else { throw MixerError.emptySequence }
        let x = try group?.entering(x) ?? x
        let c = configuration
        let before = try StateTensors.own(
            state, as: LinearAttentionState.self, named: name, batch: x.size(0), configuration.stateTensors)
        let inputs = try heads(x, pass)
        guard c.normalizer == .sum else {
            let sum = try LinearAttention.sum(
                inputs, matrix: before?.matrix, form: pass.form,
                overwritesState: pass.context.overwritesStates, sequence: pass.context.sequence)
            let epsilon = try Tensor.full([1], c.epsilon, x.elementType.accumulator, on: x.device)
            let normalized = try FusedOperators.headNormGate(
                sum.output, gate: nil, epsilons: epsilon, weight: nil, bias: nil, kind: .rms,
                activation: .none)
            return (try output(normalized), LinearAttentionState(matrix: sum.state, keySum: nil))
        }
        let attended = try LinearAttention.fused(
            inputs, epsilon: c.epsilon, matrix: before?.matrix, keySum: before?.keySum, form: pass.form,
            overwritesState: pass.context.overwritesStates, sequence: pass.context.sequence)
        let flat = try attended.output.transposed(1, 2).reshaped([x.size(0), x.size(1), c.width])
        return (try output(flat), LinearAttentionState(matrix: attended.matrix, keySum: attended.keySum))
    }

    /// Features and values as [B, H, T, A]; with a rotation the rotated features and the plain ones.
    private func heads(_ x: Tensor, _ pass: ForwardPass) throws -> LinearAttention.Inputs {
        let c = configuration
        let (q, k) = (try c.featureMap(query(x)), try c.featureMap(key(x)))
        // With the sum as divisor any scale cancels but for ε; the Linear Transformer has none.
        let scale = c.normalizer == .sum ? 1 : 1 / Double(c.headSize).squareRoot()
        let v = try value(x).heads(c.headCount)
        let table = try rotation.table(x, pass)
        return LinearAttention.Inputs(
            query: try rotation.heads(q, c.headCount, by: table),
            key: try rotation.heads(k, c.headCount, by: table, scale: scale), value: v,
            plain: c.normalizer == .sum && !rotation.isIdentity
                ? (try q.heads(c.headCount), try k.heads(c.headCount)) : nil)
    }
}

// MARK: State

/// The state of linear attention: S = Σ φ(k)ᵀ v and, for the normalizer `sum`, z = Σ φ(k).
public struct LinearAttentionState: MixerState {
    /// S [B, H, A, A], float32 (float64 in float64 models).
    public let matrix: Tensor
    /// z [B, H, A], only with the normalizer `sum`.
    public let keySum: Tensor?

    /// A state of given values.
    public init(matrix: Tensor, keySum: Tensor?) {
        self.matrix = matrix
        self.keySum = keySum
    }

    /// S as `memory`, and z as `key_sum` where there is one.
    public var tensors: [(name: String, tensor: Tensor)] {
        [("memory", matrix)] + (keySum.map { [("key_sum", $0)] } ?? [])
    }

    /// Returns the state with transformed tensors.
    public func mapTensors(_ transform: (Tensor) throws -> Tensor) throws -> LinearAttentionState {
        LinearAttentionState(matrix: try transform(matrix), keySum: try keySum.map(transform))
    }
}

extension LinearAttentionLayer {
    /// Returns zeros: nothing seen yet.
    public func initialState(batch: Int, elementType: ElementType, device: Device) throws -> any MixerState {
        let zeros = try StateTensors.zeros(
            configuration.stateTensors, batch: batch, elementType.accumulator, device)
        return LinearAttentionState(matrix: zeros[0], keySum: zeros.count > 1 ? zeros[1] : nil)
    }

    /// Returns a state of `memory` and, with the normalizer `sum`, `key_sum`.
    public func state(from tensors: [String: Tensor]) throws -> any MixerState {
        let parts = try StateTensors.ordered(tensors, configuration.stateTensors)
        return LinearAttentionState(matrix: parts[0], keySum: parts.count > 1 ? parts[1] : nil)
    }

    /// Returns the state with every key pair of S turned back; z is not rotated.
    public func rebased(_ state: any MixerState, by offsets: [Int]) throws -> any MixerState {
        let own = try StateTensors.own(
            state, as: LinearAttentionState.self, named: name, batch: offsets.count,
            configuration.stateTensors)
        guard let own, !rotation.isIdentity else { return state }
        return LinearAttentionState(
            matrix: try rotation.rebased(own.matrix, by: offsets), keySum: own.keySum)
    }
}

extension LinearAttentionConfiguration: MixerBuilding {
    /// Returns linear attention: 4 d² parameters at width d.
    public func makeMixer(_ scope: ParameterScope, _ context: LayerContext) throws -> any TokenMixer {
        try LinearAttentionLayer(scope, self, context)
    }
}
