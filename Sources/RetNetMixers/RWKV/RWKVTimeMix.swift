import Foundation
import RetNetLayers
import RetNetTorch

/// The time mixing of RWKV-4 (arXiv 2305.13048, section 3.1).
///
///     r, k, v = W (μ ⊙ x_t + (1 - μ) ⊙ x_{t-1})        one μ and one W each
///     y = W_o (σ(r) ⊙ WKV(k, v; w = e^ω, u))
///
/// ω is `time_decay`, u `time_first`. The names are those of the authors' code.
public struct RWKVTimeMix: TokenMixer {
    /// Sizes and choices.
    public let configuration: RWKVConfiguration
    private let mixKey: Tensor
    private let mixValue: Tensor
    private let mixReceptance: Tensor
    private let decay: Tensor
    private let bonus: Tensor
    private let receptance: Linear
    private let key: Linear
    private let value: Linear
    private let output: Linear

    /// `rwkv`.
    public var name: String { "rwkv" }

    /// Declares the five vectors, `receptance`, `key`, `value` and `output`.
    public init(_ scope: ParameterScope, _ configuration: RWKVConfiguration, _ context: LayerContext) throws {
        let d = configuration.channelCount
        guard context.hiddenSize == d else {
            throw MixerError.wrongWidth(mixer: "rwkv", expected: d, found: context.hiddenSize)
        }
        self.configuration = configuration
        let first = RWKVInitialVectors(
            channelCount: d, layer: context.layer, layerCount: context.layerCount)
        func vector(_ name: String, _ values: @autoclosure () -> [Double]) throws -> Tensor {
            try scope.parameter(name, [d], .values(values()))
        }
        mixKey = try vector("time_mix_key", first.mixKey)
        mixValue = try vector("time_mix_value", first.mixValue)
        mixReceptance = try vector("time_mix_receptance", first.mixReceptance)
        decay = try vector("time_decay", first.decay)
        bonus = try vector("time_first", first.bonus)
        let scheme = context.initialization
        let own = configuration.initialization == .rwkv
        let reading = scheme.matrix(own ? .constant(0) : .xavierUniform(gain: 0.5.squareRoot()))
        let writing = scheme.deepMatrix(own ? .constant(0) : .xavierUniform(gain: 1))
        let values = scheme.deepMatrix(own ? .orthogonal(gain: 1) : .xavierUniform(gain: 0.5.squareRoot()))
        func matrix(_ name: String, _ initializer: Initializer) throws -> Linear {
            try Linear(scope.scope(name), from: d, to: d, bias: false, initializer: initializer)
        }
        receptance = try matrix("receptance", reading)
        key = try matrix("key", reading)
        value = try matrix("value", values)
        output = try matrix("output", writing)
    }

    /// x [B, T, D] → [B, T, D] and the state after the last position.
    public func callAsFunction(_ x: Tensor, state: (any MixerState)?, _ pass: ForwardPass) throws
        -> (output: Tensor, state: any MixerState)
    {
        guard x.size(1) > 0 else { throw MixerError.emptySequence }
        let before = try StateTensors.own(
            state, as: RWKVState.self, named: name, batch: x.size(0), stateShapes)
        let past = try TokenShift.previous(x, before?.previousInput)
        let difference = try x - past
        let r = try receptance(TokenShift.mix(past, difference, mixReceptance))
        let k = try key(TokenShift.mix(past, difference, mixKey))
        let v = try value(TokenShift.mix(past, difference, mixValue))
        // The decay is an exponential of an exponential: float32 whatever the type of the pass.
        let w = try decay.to(x.elementType.accumulator).exp()
        let average = try WKV.fused(k, v, decay: w, bonus: bonus, sums: before?.sums)
        let y = try output(r.sigmoid() * average.output)
        return (y, RWKVState(sums: average.sums, previousInput: try TokenShift.last(x)))
    }

    // MARK: State

    private var stateShapes: [(name: String, shape: [Int])] {
        ["numerator", "denominator", "exponent", "previous_input"].map { ($0, [configuration.channelCount]) }
    }

    /// Zeros: nothing seen yet.
    public func initialState(batch: Int, elementType: ElementType, device: Device) throws -> any MixerState {
        let zeros = try Tensor.zeros(
            [batch, configuration.channelCount], elementType.accumulator, on: device)
        return RWKVState(
            sums: ExponentialSums(numerator: zeros, denominator: zeros, exponent: zeros), previousInput: zeros
        )
    }

    /// A state from `numerator`, `denominator`, `exponent` and `previous_input`.
    public func state(from tensors: [String: Tensor]) throws -> any MixerState {
        let parts = try StateTensors.ordered(tensors, stateShapes)
        return RWKVState(
            sums: ExponentialSums(numerator: parts[0], denominator: parts[1], exponent: parts[2]),
            previousInput: parts[3])
    }
}
