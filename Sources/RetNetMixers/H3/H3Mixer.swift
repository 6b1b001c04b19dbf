import RetNetLayers
import RetNetTorch

/// A layer of H3 (Hungry Hungry Hippos, arXiv 2212.14052): linear attention whose sum is a state space.
///
///     q, k, v = x W + b        k̃ = Shift(k) + D_k ⊙ k
///     y_t[b] = Σ_a q_t[a] (Diag_h + D_h)(k̃[a] v[b])_t        out = y W_o + b_o
///
/// Channels of q, k, v and y are ordered by head, then by place in it; the authors' code orders outputs the other
/// way, a permutation that W_o absorbs.
public struct H3Mixer: TokenMixer {
    /// Sizes and choices.
    public let configuration: H3Configuration
    private let query: Linear
    private let key: Linear
    private let value: Linear
    private let shift: ShiftStateSpace
    private let stateSpace: StateSpaceParameters
    private let output: Linear
    private let tables = DerivedTables()

    /// `h3`.
    public var name: String { "h3" }

    /// Declares `query`, `key`, `value`, `shift`, `state_space` and `output`.
    public init(_ scope: ParameterScope, _ configuration: H3Configuration, _ context: LayerContext) throws {
        self.configuration = configuration
        let c = configuration
        let (width, channels) = (context.hiddenSize, c.channelCount)
        let own = Initializer.fanInUniform(scale: 1)
        let (reading, writing) = (context.initialization.matrix(own), context.initialization.deepMatrix(own))
        func linear(_ name: String, from: Int, to: Int, _ initializer: Initializer) throws -> Linear {
            try Linear(scope.scope(name), from: from, to: to, bias: c.biases, initializer: initializer)
        }
        query = try linear("query", from: width, to: channels, reading)
        key = try linear("key", from: width, to: channels, reading)
        value = try linear("value", from: width, to: channels, writing)
        shift = try ShiftStateSpace(scope.scope("shift"), channelCount: channels, width: c.shiftSize)
        stateSpace = try StateSpaceParameters(
            scope.scope("state_space"), channelCount: c.headCount, stateSize: c.stateSize,
            initialization: c.initialization, discretization: c.discretization, trainsInput: true)
        output = try linear("output", from: channels, to: width, writing)
    }

    /// x [B, T, D] → [B, T, D] and the state after the last position.
    public func callAsFunction(_ x: Tensor, state: (any MixerState)?, _ pass: ForwardPass) throws
        -> (output: Tensor, state: any MixerState)
    {
        guard x.size(1) > 0 else { throw MixerError.emptySequence }
        let before = try StateTensors.own(
            state, as: H3State.self, named: name, batch: x.size(0), stateShapes)
        let type = x.elementType.accumulator
        let (q, k, v) = (try query(x), try key(x), try value(x))
        let steps = try stepTables([q, k, v, before?.memory, before?.keys], pass.form, type)
        let ring =
            try before?.keys.to(type)
            ?? Tensor.zeros([x.size(0), configuration.shiftSize - 1, k.size(2)], type, on: x.device)
        let shifted = try shift(k, taps: steps?.last ?? shift.taps(type), ring: ring)
        let remembered = try remember(
            q, shifted.output.to(x.elementType), v, steps, state: before?.memory, pass.form)
        return (
            try output(remembered.output), H3State(memory: remembered.state, keys: shifted.ring)
        )
    }

    private func remember(
        _ q: Tensor, _ k: Tensor, _ v: Tensor, _ steps: [Tensor]?, state: Tensor?, _ form: MixerForm
    ) throws -> H3Memory.Result {
        switch form {
        case .parallel:
            return try H3Memory.parallel(q, k, v, stateSpace.system(), state: state)
        case .chunkwise(let length):
            return try H3Memory.chunkwise(q, k, v, stateSpace.system(), state: state, chunkLength: length)
        case .recurrent:
            guard let steps else {
                return try H3Memory.recurrent(q, k, v, stateSpace.system(), state: state)
            }
            return try H3Memory.steps(
                q, k, v, steps, state: state, modeCount: configuration.stateSize / 2)
        }
    }

    /// Tables of native steps and the taps of the shift, where a pass records no graph and there is a kernel.
    private func stepTables(_ inputs: [Tensor?], _ form: MixerForm, _ type: ElementType) throws -> [Tensor]? {
        let weights = stateSpace.weights + shift.weights
        let recorded = gradientsAreEnabled && (inputs + weights).contains { $0?.requiresGradient == true }
        guard form == .recurrent, !recorded, let q = inputs[0],
            FusedOperators.hasKernel(for: .diagonalHeads, q.elementType, on: q.device)
        else {
            return nil
        }
        return try tables(weights, size: 0, type) {
            try H3Memory.stepTables(stateSpace.system(), type) + [shift.taps(type).contiguous()]
        }
    }

    // MARK: State

    private var stateShapes: [(name: String, shape: [Int])] {
        let c = configuration
        return [
            ("memory", [c.headCount, c.stateSize, c.headSize * c.headSize]),
            ("keys", [c.shiftSize - 1, c.channelCount]),
        ]
    }

    /// Zeros: nothing seen yet.
    public func initialState(batch: Int, elementType: ElementType, device: Device) throws -> any MixerState {
        let parts = try stateShapes.map {
            try Tensor.zeros([batch] + $0.shape, elementType.accumulator, on: device)
        }
        return H3State(memory: parts[0], keys: parts[1])
    }

    /// A state from `memory` and `keys`.
    public func state(from tensors: [String: Tensor]) throws -> any MixerState {
        let parts = try StateTensors.ordered(tensors, stateShapes)
        return H3State(memory: parts[0], keys: parts[1])
    }
}
