import RetNetArchitecture
import RetNetLayers
import RetNetTorch

/// A layer of diagonal state spaces (S4D, arXiv 2206.11893): one linear recurrence per channel, the same for all tokens.
///
///     glu:    y = a ⊙ σ(b),   a, b = W GELU(S4D(x)) + bias
///     gated:  y = W_out (swish(W_gate x) ⊙ S4D(W_in x))
public struct S4DMixer: TokenMixer {
    /// Sizes and choices.
    public let configuration: S4DConfiguration
    private let input: Linear?
    private let gate: Linear?
    private let stateSpace: StateSpaceParameters
    private let output: Linear
    private let tables = DerivedTables()

    /// `s4d`.
    public var name: String { "s4d" }

    /// Declares `input` and `gate` (block `gated`), `state_space` and `output`.
    public init(_ scope: ParameterScope, _ configuration: S4DConfiguration, _ context: LayerContext) throws {
        self.configuration = configuration
        let (d, width) = (configuration.channelCount, context.hiddenSize)
        let own = Initializer.fanInUniform(scale: 1)
        let (reading, writing) = (context.initialization.matrix(own), context.initialization.deepMatrix(own))
        let isGated = configuration.block == .gated
        guard isGated || width == d else {
            throw MixerError.wrongWidth(mixer: "s4d", expected: d, found: width)
        }
        input =
            isGated
            ? try Linear(scope.scope("input"), from: width, to: d, bias: false, initializer: writing) : nil
        gate =
            isGated
            ? try Linear(scope.scope("gate"), from: width, to: d, bias: false, initializer: reading) : nil
        stateSpace = try StateSpaceParameters(
            scope.scope("state_space"), channelCount: d, stateSize: configuration.stateSize,
            initialization: configuration.initialization, discretization: configuration.discretization,
            trainsInput: false)
        output = try Linear(
            scope.scope("output"), from: d, to: isGated ? width : 2 * width, bias: !isGated,
            initializer: writing)
    }

    /// True: modes decay by constants.
    public var dividesSequences: Bool { true }

    /// Mixes x [B, T, D] → [B, T, D]; returns the state after the last position too.
    public func callAsFunction(_ x: Tensor, state: (any MixerState)?, _ pass: ForwardPass) throws
        -> (output: Tensor, state: any MixerState)
    {
        guard x.size(1) > 0 else { throw MixerError.emptySequence }
        let before = try StateTensors.own(
            state, as: S4DState.self, named: name, batch: x.size(0), configuration.stateTensors)
        let u = try input?(x) ?? x
        let result = try run(u, state: before?.modes, pass)
        let y = try result.output.to(x.elementType)
        let next = S4DState(modes: result.state)
        if let gate {
            return (try output(FusedOperators.gatedActivation(gate(x), y, activation: .swish)), next)
        }
        let both = try output(FusedOperators.gatedActivation(y, nil, activation: .gelu))
        let width = both.size(-1) / 2
        let (value, sigmoid) = (
            try both.sliced(-1, 0..<width), try both.sliced(-1, width..<2 * width).sigmoid()
        )
        return (try value * sigmoid, next)
    }

    private func run(_ u: Tensor, state: Tensor?, _ pass: ForwardPass) throws -> StateSpace.Result {
        if let sequence = pass.context.sequence {
            // Twice: first for the modes alone.
            let type = u.elementType.accumulator
            let own = try run(u, state: nil, pass.withoutSequence).state
            let system = try stateSpace.system()
            let merged = try sequence.merged(
                ComplexTensor(planes: own, axis: 2),
                from: state.map { try ComplexTensor(planes: $0.to(type), axis: 2) }
            ) { length in
                try system.powers([Double(length)]).map { try $0.squeezed(1).to(type) }
            }
            let entering = try merged.entering.planes(axis: 2)
            let result = try run(u, state: entering, pass.withoutSequence)
            return (result.output, try merged.end.planes(axis: 2))
        }
        switch pass.form {
        case .parallel:
            return try StateSpace.parallel(u, stateSpace.system(), state: state)
        case .chunkwise(let length):
            // In training only: other passes keep the bits of their form.
            if pass.context.isTraining, !pass.context.keepsStates, state == nil,
                let output = try StateSpace.outputs(u, stateSpace.system())
            {
                let nothing = try Tensor.zeros(
                    [u.size(0), 0, 2, 0], u.elementType.accumulator, on: u.device)
                return (output, nothing)
            }
            return try StateSpace.chunkwise(u, stateSpace.system(), state: state, chunkLength: length)
        case .recurrent:
            let recorded = gradientsAreEnabled && (u.requiresGradient || state?.requiresGradient == true)
            let type = u.elementType.accumulator
            let hasKernel = FusedOperators.hasKernel(for: .diagonalStep, type, on: u.device)
            if recorded || stateSpace.areRecorded || !hasKernel {
                return try StateSpace.recurrent(u, stateSpace.system(), state: state)
            }
            let steps = try tables(stateSpace.weights, size: 0, type) {
                try StateSpace.stepTables(stateSpace.system(), type)
            }
            return try StateSpace.steps(
                u, steps, state: state, overwritesState: pass.context.overwritesStates)
        }
    }
}

// MARK: State

/// The state of diagonal state spaces: M complex modes for each channel.
public struct S4DState: MixerState {
    /// x [B, C, 2, M], real and imaginary parts in float32 (float64 in float64 models).
    public let modes: Tensor

    /// A state of given values.
    public init(modes: Tensor) { self.modes = modes }

    /// `modes`.
    public var tensors: [(name: String, tensor: Tensor)] { [("modes", modes)] }

    /// Returns the state with transformed tensors.
    public func mapTensors(_ transform: (Tensor) throws -> Tensor) throws -> S4DState {
        S4DState(modes: try transform(modes))
    }
}

extension S4DMixer {
    /// Returns zeros: nothing seen yet.
    public func initialState(batch: Int, elementType: ElementType, device: Device) throws -> any MixerState {
        S4DState(
            modes: try Tensor.zeros(
                [batch] + configuration.stateTensors[0].shape, elementType.accumulator, on: device))
    }

    /// Returns a state of `modes`.
    public func state(from tensors: [String: Tensor]) throws -> any MixerState {
        S4DState(modes: try StateTensors.ordered(tensors, configuration.stateTensors)[0])
    }
}

extension S4DConfiguration: MixerBuilding {
    /// Returns diagonal state spaces; throws if the model has another width than the block `glu` needs.
    public func makeMixer(_ scope: ParameterScope, _ context: LayerContext) throws -> any TokenMixer {
        try S4DMixer(scope, self, context)
    }
}
