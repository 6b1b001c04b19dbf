import Foundation
import RetNetLayers
import RetNetTorch

/// A layer of linear attention: the Linear Transformer (arXiv 2006.16236), or its relative without the normaliser.
///
///     Q = φ(X W_Q)     K = φ(X W_K)     V = X W_V     Y = LinearAttention(Q, K, V) W_O
///
/// Without the normaliser the product is scaled by a^-½ and each head's output goes through an RMS norm, as in
/// retention without decay and gate.
public struct LinearAttentionLayer: TokenMixer {
    /// Sizes and choices.
    public let configuration: LinearAttentionConfiguration
    private let query: Linear
    private let key: Linear
    private let value: Linear
    private let output: Linear
    private let angles: [Double]

    /// `linear attention`.
    public var name: String { "linear attention" }

    /// Declares `query`, `key`, `value` and `output`.
    public init(
        _ scope: ParameterScope, _ configuration: LinearAttentionConfiguration, _ context: LayerContext
    )
        throws
    {
        self.configuration = configuration
        let c = configuration
        let reading = Initializer.xavierUniform(gain: 0.5.squareRoot())
        let (matrix, deepMatrix) = (context.initialization.matrix, context.initialization.deepMatrix)
        func linear(_ name: String, from: Int, to: Int, _ initializer: Initializer) throws -> Linear {
            try Linear(scope.scope(name), from: from, to: to, bias: c.biases, initializer: initializer)
        }
        query = try linear("query", from: context.hiddenSize, to: c.width, matrix(reading))
        key = try linear("key", from: context.hiddenSize, to: c.width, matrix(reading))
        value = try linear("value", from: context.hiddenSize, to: c.width, deepMatrix(reading))
        output = try linear(
            "output", from: c.width, to: context.hiddenSize, deepMatrix(.xavierUniform(gain: 1)))
        angles = c.rotation.angles(keySize: c.headSize)
    }

    /// x [B, T, D] → [B, T, D] and the state after the last position.
    public func callAsFunction(_ x: Tensor, state: (any MixerState)?, _ pass: ForwardPass) throws
        -> (output: Tensor, state: any MixerState)
    {
        guard x.size(1) > 0 else { throw MixerError.emptySequence }
        let c = configuration
        let before = try StateTensors.own(
            state, as: LinearAttentionState.self, named: name, batch: x.size(0), stateShapes)
        let inputs = try heads(x, pass)
        guard c.normalizer == .sum else {
            let sum = try LinearAttention.sum(inputs, memory: before?.memory, form: pass.form)
            let epsilon = try Tensor.full([1], c.epsilon, x.elementType.accumulator, on: x.device)
            let normalized = try FusedOperators.headNormGate(
                sum.output, gate: nil, epsilons: epsilon, weight: nil, bias: nil, kind: .rms,
                activation: .none)
            return (try output(normalized), LinearAttentionState(memory: sum.state, keySum: nil))
        }
        let attended = try LinearAttention.fused(
            inputs, epsilon: c.epsilon, memory: before?.memory, keySum: before?.keySum, form: pass.form)
        let flat = try attended.output.transposed(1, 2).reshaped([x.size(0), x.size(1), c.width])
        return (try output(flat), LinearAttentionState(memory: attended.memory, keySum: attended.keySum))
    }

    /// Features and values as [B, H, T, A]; rotated ones beside the plain ones where there is a rotation.
    private func heads(_ x: Tensor, _ pass: ForwardPass) throws -> LinearAttention.Inputs {
        let c = configuration
        func split(_ t: Tensor, _ table: [Tensor] = [], scale: Double = 1) throws -> Tensor {
            try FusedOperators.rotateHeads(
                t.reshaped([x.size(0), x.size(1), c.headCount, c.headSize]), cosine: table.first,
                sine: table.last, interleaved: c.rotation == .interleaved, scale: scale)
        }
        let (q, k) = (try c.featureMap(query(x)), try c.featureMap(key(x)))
        // With the sum as divisor any scale cancels but for ε; the Linear Transformer has none.
        let scale = c.normalizer == .sum ? 1 : 1 / Double(c.headSize).squareRoot()
        let v = try split(value(x))
        guard !angles.isEmpty else {
            return LinearAttention.Inputs(query: try split(q), key: try split(k, scale: scale), value: v)
        }
        let table = try pass.sharing("rotary \(c.rotation) \(c.headSize)") {
            try RotaryTable.make(
                angles: angles, starts: pass.positions.map(\.position), length: x.size(1),
                type: x.elementType.accumulator, device: x.device)
        }
        return LinearAttention.Inputs(
            query: try split(q, table), key: try split(k, table, scale: scale), value: v,
            plain: c.normalizer == .sum ? (try split(q), try split(k)) : nil)
    }

    // MARK: State

    private var stateShapes: [(name: String, shape: [Int])] {
        let c = configuration
        return [("memory", [c.headCount, c.headSize, c.headSize])]
            + (c.normalizer == .sum ? [("key_sum", [c.headCount, c.headSize])] : [])
    }

    /// Zeros: nothing seen yet.
    public func initialState(batch: Int, elementType: ElementType, device: Device) throws -> any MixerState {
        let zeros = try stateShapes.map {
            try Tensor.zeros([batch] + $0.shape, elementType.accumulator, on: device)
        }
        return LinearAttentionState(memory: zeros[0], keySum: zeros.count > 1 ? zeros[1] : nil)
    }

    /// A state from `memory` and, with the normaliser `sum`, `key_sum`.
    public func state(from tensors: [String: Tensor]) throws -> any MixerState {
        let parts = try StateTensors.ordered(tensors, stateShapes)
        return LinearAttentionState(memory: parts[0], keySum: parts.count > 1 ? parts[1] : nil)
    }

    /// Rotates every key pair of S back; z is not rotated.
    public func rebased(_ state: any MixerState, by offsets: [Int]) throws -> any MixerState {
        let own = try StateTensors.own(
            state, as: LinearAttentionState.self, named: name, batch: offsets.count, stateShapes)
        guard let own, !angles.isEmpty else { return state }
        return LinearAttentionState(
            memory: try configuration.rotation.rebased(own.memory, by: offsets), keySum: own.keySum)
    }
}
