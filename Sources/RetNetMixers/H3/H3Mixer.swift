import Foundation
import RetNetArchitecture
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

    /// True: modes decay by constants.
    public var dividesSequences: Bool { true }

    /// Mixes x [B, T, D] → [B, T, D]; returns the state after the last position too.
    public func callAsFunction(_ x: Tensor, state: (any MixerState)?, _ pass: ForwardPass) throws
        -> (output: Tensor, state: any MixerState)
    {
        guard x.size(1) > 0 else { throw MixerError.emptySequence }
        let before = try StateTensors.own(
            state, as: H3State.self, named: name, batch: x.size(0), configuration.stateTensors)
        let type = x.elementType.accumulator
        let (q, k, v) = (try query(x), try key(x), try value(x))
        let steps = try stepTables([q, k, v, before?.modes, before?.keys], pass.form, type)
        if before == nil, pass.context.sequence == nil, let trained = try trained(q, k, v, pass) {
            return trained
        }
        let recent = try pass.context.sequence?.recent(
            k, count: configuration.shiftSize - 1, carried: before?.keys)
        let ring =
            try recent?.entering ?? before?.keys.to(type)
            ?? Tensor.zeros([x.size(0), configuration.shiftSize - 1, k.size(2)], type, on: x.device)
        let shifted = try shift(k, taps: steps?.last ?? shift.taps(type), ring: ring)
        let summed = try sum(
            q, shifted.output.to(x.elementType), v, steps, state: before?.modes, pass)
        return (
            try output(summed.output), H3State(modes: summed.state, keys: recent?.end ?? shifted.ring)
        )
    }

    /// Runs a training pass from the start of a sequence whose state nobody needs; nil where chunks with states are less work.
    ///
    /// Other passes keep the bits of their form.
    private func trained(_ q: Tensor, _ k: Tensor, _ v: Tensor, _ pass: ForwardPass) throws -> (
        output: Tensor, state: any MixerState
    )? {
        guard pass.context.isTraining, !pass.context.keepsStates, case .chunkwise(let length) = pass.form,
            H3.joinsChunks(
                q, modeCount: configuration.stateSize / 2, headCount: configuration.headCount,
                chunkLength: length)
        else { return nil }
        let summed = try H3.outputs(q, shift.outputs(k), v, stateSpace.system())
        let nothing = try Tensor.zeros([q.size(0), 0, 0, 0], q.elementType.accumulator, on: q.device)
        return (try output(summed), H3State(modes: nothing, keys: try nothing.reshaped([q.size(0), 0, 0])))
    }

    private func sum(
        _ q: Tensor, _ k: Tensor, _ v: Tensor, _ steps: [Tensor]?, state: Tensor?, _ pass: ForwardPass
    ) throws -> H3.Result {
        if let sequence = pass.context.sequence {
            // Twice: first for the modes alone.
            let (type, heads, modes) = (
                q.elementType.accumulator, configuration.headCount, configuration.stateSize / 2
            )
            func complex(_ state: Tensor) throws -> ComplexTensor {
                let shape = [state.size(0), heads, 2, modes, state.size(3)]
                return try ComplexTensor(planes: state.to(type).reshaped(shape), axis: 2)
            }
            func joined(_ state: ComplexTensor) throws -> Tensor {
                try state.planes(axis: 2).reshaped([q.size(0), heads, 2 * modes, state.size(3)])
            }
            let own = try sum(q, k, v, steps, state: nil, pass.withoutSequence).state
            let system = try stateSpace.system()
            let merged = try sequence.merged(complex(own), from: state.map(complex)) { length in
                try system.powers([Double(length)]).map { try $0.to(type).reshaped([1, heads, modes, 1]) }
            }
            let result = try sum(
                q, k, v, steps, state: joined(merged.entering), pass.withoutSequence)
            return (result.output, try joined(merged.end))
        }
        switch pass.form {
        case .parallel:
            return try H3.parallel(q, k, v, stateSpace.system(), state: state)
        case .chunkwise(let length):
            return try H3.chunkwise(q, k, v, stateSpace.system(), state: state, chunkLength: length)
        case .recurrent:
            guard let steps else {
                return try H3.recurrent(q, k, v, stateSpace.system(), state: state)
            }
            return try H3.steps(
                q, k, v, steps, state: state, modeCount: configuration.stateSize / 2,
                overwritesState: pass.context.overwritesStates)
        }
    }

    /// Returns tables of native steps and the taps of the shift, where a pass records no graph and there is a kernel.
    private func stepTables(_ inputs: [Tensor?], _ form: MixerForm, _ type: ElementType) throws -> [Tensor]? {
        let weights = stateSpace.weights + shift.weights
        let recorded = gradientsAreEnabled && (inputs + weights).contains { $0?.requiresGradient == true }
        guard form == .recurrent, !recorded, let q = inputs[0],
            FusedOperators.hasKernel(for: .diagonalHeads, q.elementType, on: q.device)
        else {
            return nil
        }
        return try tables(weights, size: 0, type) {
            try H3.stepTables(stateSpace.system(), type) + [shift.taps(type).contiguous()]
        }
    }
}

/// The shift state space of H3: a state of the last W inputs, so a filter of W taps on every channel.
///
/// With x_t = Shift x_{t-1} + B u_t and y = C x + D u the taps are K_l = Σ_j B_j C_(j+l), l < W. B starts as e₁,
/// where the taps are C itself, and is trained; then they are not, and a step must not just insert u.
struct ShiftStateSpace {
    private let input: Tensor
    private let readout: Tensor
    private let skip: Tensor
    private let width: Int

    /// Declares B, C as a depthwise convolution's weights are drawn, U(-1/√W, 1/√W), and a normal D.
    init(_ scope: ParameterScope, channelCount: Int, width: Int) throws {
        self.width = width
        let unit = [1.0] + [Double](repeating: 0, count: width - 1)
        input = try scope.parameter(
            "input", [channelCount, width], .values(unit), decays: false,
            maximumLearningRate: StateSpaceParameters.maximumLearningRate)
        readout = try scope.parameter("readout", [channelCount, width], .fanInUniform(scale: 1))
        skip = try scope.parameter("skip", [channelCount], .normal(standardDeviation: 1))
    }

    /// All parameters that the taps depend on.
    var weights: [Tensor] { [input, readout] }

    /// Returns the filters [W, C]: the correlation of C with B, which is a convolution of one of them backwards.
    func taps(_ type: ElementType) throws -> Tensor {
        try FusedOperators.longConvolution(
            input.to(type).transposed(0, 1).unsqueezed(0), taps: readout.to(type).transposed(0, 1).flipped(0)
        ).squeezed(0).flipped(0)
    }

    /// Filters x [B, T, C] after nothing → [B, T, C] in its type.
    func outputs(_ x: Tensor) throws -> Tensor {
        let taps = try taps(x.elementType.accumulator)
        let first = try taps.sliced(0, 0..<1) + skip.to(taps.elementType).unsqueezed(0)
        return try FusedOperators.longConvolution(
            x, taps: width == 1 ? first : Tensor.concatenated([first, taps.sliced(0, 1..<width)], axis: 0))
    }

    /// Filters x [B, T, C] after the inputs of the ring [B, W-1, C] → [B, T, C] in the ring's type, and the next ring.
    func callAsFunction(_ x: Tensor, taps: Tensor, ring: Tensor) throws -> (output: Tensor, ring: Tensor) {
        let length = x.size(1)
        let all = try Tensor.concatenated([ring, x.to(ring.elementType)], axis: 1)
        let output = try FusedOperators.longConvolution(
            all, taps: taps, skip: skip.to(ring.elementType),
            starts: [Int](repeating: width - 1, count: x.size(0)), length: length)
        return (output, try all.sliced(1, length..<length + width - 1).contiguous())
    }
}

// MARK: State

/// The state of H3: the modes of all products of channels, and the last keys.
public struct H3State: MixerState {
    /// X [B, H, 2M, P·P], real and imaginary parts in float32 (float64 in float64 models).
    public let modes: Tensor
    /// The last W-1 keys [B, W-1, D] in the same type, oldest first.
    public let keys: Tensor

    /// A state of given values.
    public init(modes: Tensor, keys: Tensor) {
        self.modes = modes
        self.keys = keys
    }

    /// X as `memory`, and `keys`.
    public var tensors: [(name: String, tensor: Tensor)] { [("memory", modes), ("keys", keys)] }

    /// Returns the state with transformed tensors.
    public func mapTensors(_ transform: (Tensor) throws -> Tensor) throws -> H3State {
        H3State(modes: try transform(modes), keys: try transform(keys))
    }
}

extension H3Mixer {
    /// Returns zeros: nothing seen yet.
    public func initialState(batch: Int, elementType: ElementType, device: Device) throws -> any MixerState {
        let parts = try StateTensors.zeros(
            configuration.stateTensors, batch: batch, elementType.accumulator, device)
        return H3State(modes: parts[0], keys: parts[1])
    }

    /// Returns a state of `memory` and `keys`.
    public func state(from tensors: [String: Tensor]) throws -> any MixerState {
        let parts = try StateTensors.ordered(tensors, configuration.stateTensors)
        return H3State(modes: parts[0], keys: parts[1])
    }
}

extension H3Configuration: MixerBuilding {
    /// Returns an H3 layer of these sizes.
    public func makeMixer(_ scope: ParameterScope, _ context: LayerContext) throws -> any TokenMixer {
        try H3Mixer(scope, self, context)
    }
}
