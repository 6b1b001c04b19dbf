import RetNetArchitecture
import RetNetLayers
import RetNetTorch

/// The channel mixing of RWKV-4 (arXiv 2305.13048, section 3.1): a gated feed-forward over two neighboring tokens.
///
///     r, k = W (μ ⊙ x_t + (1 - μ) ⊙ x_{t-1})        one μ and one W each
///     y = σ(r) ⊙ W_v max(k, 0)²
public struct RWKVChannelMix: TokenMixer {
    /// Sizes and choices.
    public let configuration: RWKVChannelMixConfiguration
    private let mixKey: Tensor
    private let mixReceptance: Tensor
    private let receptance: Linear
    private let key: Linear
    private let value: Linear

    /// `rwkv channel mix`.
    public var name: String { "rwkv channel mix" }

    /// Declares the two vectors, `receptance`, `key` and `value`.
    public init(
        _ scope: ParameterScope, _ configuration: RWKVChannelMixConfiguration, _ context: LayerContext
    )
        throws
    {
        let (d, inner) = (configuration.channelCount, configuration.innerSize)
        guard context.hiddenSize == d else {
            throw MixerError.wrongWidth(mixer: "rwkv channel mix", expected: d, found: context.hiddenSize)
        }
        self.configuration = configuration
        // Both mixtures begin as that of the keys of time mixing. Source: BlinkDL/RWKV-LM, RWKV-v4/src/model.py.
        let initial = RWKVInitialVectors(
            channelCount: d, layer: context.layer, layerCount: context.layerCount)
        mixKey = try scope.parameter("time_mix_key", [d], .values(initial.mixKey))
        mixReceptance = try scope.parameter("time_mix_receptance", [d], .values(initial.mixKey))
        let scheme = context.initialization
        let own = configuration.initialization == .rwkv
        let spread = max(1, Double(inner) / Double(d)).squareRoot()
        let xavier = Initializer.xavierUniform(gain: 1)
        receptance = try Linear(
            scope.scope("receptance"), from: d, to: d, bias: false,
            initializer: scheme.matrix(own ? .constant(0) : xavier))
        key = try Linear(
            scope.scope("key"), from: d, to: inner, bias: false,
            initializer: scheme.matrix(own ? .orthogonal(gain: spread) : xavier))
        value = try Linear(
            scope.scope("value"), from: inner, to: d, bias: false,
            initializer: scheme.deepMatrix(own ? .constant(0) : xavier))
    }

    /// True: only the input before a token matters.
    public var dividesSequences: Bool { true }

    /// Mixes x [B, T, D] → [B, T, D]; returns the last input too.
    public func callAsFunction(_ x: Tensor, state: (any MixerState)?, _ pass: ForwardPass) throws
        -> (output: Tensor, state: any MixerState)
    {
        guard x.size(1) > 0 else { throw MixerError.emptySequence }
        let before = try StateTensors.own(
            state, as: TokenShiftState.self, named: name, batch: x.size(0), configuration.stateTensors)
        let shift = try TokenShift(x, before?.previousInput, pass)
        let past = shift.previous
        let difference = try x - past
        let k = try key(TokenShift.mix(past, difference, mixKey)).relu()
        let r = try receptance(TokenShift.mix(past, difference, mixReceptance))
        return (try r.sigmoid() * value(k * k), TokenShiftState(previousInput: shift.last))
    }
}

// MARK: State

/// The state of a layer that reads the previous token: its input.
public struct TokenShiftState: MixerState {
    /// The input of the last token [B, D], float32 (float64 in float64 models).
    public let previousInput: Tensor

    /// A state of given values.
    public init(previousInput: Tensor) {
        self.previousInput = previousInput
    }

    /// `previous_input`.
    public var tensors: [(name: String, tensor: Tensor)] { [("previous_input", previousInput)] }

    /// Returns the state with the transformed tensor.
    public func mapTensors(_ transform: (Tensor) throws -> Tensor) throws -> TokenShiftState {
        TokenShiftState(previousInput: try transform(previousInput))
    }
}

extension RWKVChannelMix {
    /// Returns zeros: nothing seen yet.
    public func initialState(batch: Int, elementType: ElementType, device: Device) throws -> any MixerState {
        TokenShiftState(
            previousInput: try Tensor.zeros(
                [batch, configuration.channelCount], elementType.accumulator, on: device))
    }

    /// Returns a state of `previous_input`.
    public func state(from tensors: [String: Tensor]) throws -> any MixerState {
        TokenShiftState(previousInput: try StateTensors.ordered(tensors, configuration.stateTensors)[0])
    }
}

extension RWKVChannelMixConfiguration: MixerBuilding {
    /// Returns RWKV-4 channel mixing: 9 d² + 2 d parameters at an inner width of 4 d; throws for another model width.
    public func makeMixer(_ scope: ParameterScope, _ context: LayerContext) throws -> any TokenMixer {
        try RWKVChannelMix(scope, self, context)
    }
}
