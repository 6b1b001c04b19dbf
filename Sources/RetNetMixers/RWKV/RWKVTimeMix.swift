import Foundation
import RetNetArchitecture
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
        let initial = RWKVInitialVectors(
            channelCount: d, layer: context.layer, layerCount: context.layerCount)
        func vector(_ name: String, _ values: @autoclosure () -> [Double]) throws -> Tensor {
            try scope.parameter(name, [d], .values(values()))
        }
        mixKey = try vector("time_mix_key", initial.mixKey)
        mixValue = try vector("time_mix_value", initial.mixValue)
        mixReceptance = try vector("time_mix_receptance", initial.mixReceptance)
        decay = try vector("time_decay", initial.decay)
        bonus = try vector("time_first", initial.bonus)
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

    /// True: the sums of WKV decay by constants.
    public var dividesSequences: Bool { true }

    /// Mixes x [B, T, D] → [B, T, D]; returns the state after the last position too.
    public func callAsFunction(_ x: Tensor, state: (any MixerState)?, _ pass: ForwardPass) throws
        -> (output: Tensor, state: any MixerState)
    {
        guard x.size(1) > 0 else { throw MixerError.emptySequence }
        let before = try StateTensors.own(
            state, as: RWKVState.self, named: name, batch: x.size(0), configuration.stateTensors)
        let shift = try TokenShift(x, before?.previousInput, pass)
        let past = shift.previous
        let difference = try x - past
        let r = try receptance(TokenShift.mix(past, difference, mixReceptance))
        let k = try key(TokenShift.mix(past, difference, mixKey))
        let v = try value(TokenShift.mix(past, difference, mixValue))
        // The decay is an exponential of an exponential: float32 whatever the type of the pass.
        let w = try decay.to(x.elementType.accumulator).exp()
        let average = try WKV.fused(
            k, v, decay: w, bonus: bonus, sums: before?.sums, sequence: pass.context.sequence)
        let y = try output(r.sigmoid() * average.output)
        return (y, RWKVState(sums: average.sums, previousInput: shift.last))
    }
}

/// Initial values of the vectors of one layer of RWKV; r = layer / (layers - 1), s = 1 - layer / layers.
///
/// Source: BlinkDL/RWKV-LM, RWKV-v4/src/model.py. A single layer counts as the first of many.
struct RWKVInitialVectors {
    private let channelCount: Int
    /// r.
    private let depth: Double
    /// s.
    private let shallow: Double

    init(channelCount: Int, layer: Int, layerCount: Int) {
        self.channelCount = channelCount
        depth = layerCount > 1 ? Double(layer) / Double(layerCount - 1) : 0
        shallow = 1 - Double(layer) / Double(max(1, layerCount))
    }

    /// ω, the logarithm of the decay: -5 + 8 (i/(d-1))^(0.7 + 1.3 r).
    var decay: [Double] {
        let d = Double(channelCount)
        return (0..<channelCount).map { i in
            -5 + 8 * pow(channelCount > 1 ? Double(i) / (d - 1) : 0, 0.7 + 1.3 * depth)
        }
    }
    /// u: ln 0.3, and ½ more or less for every third channel.
    var bonus: [Double] {
        (0..<channelCount).map { channel -> Double in
            let step = (channel + 1) % 3 - 1
            return log(0.3) + 0.5 * Double(step)
        }
    }
    /// (i/d)^s.
    var mixKey: [Double] { mix(shallow) }
    /// (i/d)^s + 0.3 r.
    var mixValue: [Double] { mix(shallow).map { $0 + 0.3 * depth } }
    /// (i/d)^(s/2).
    var mixReceptance: [Double] { mix(0.5 * shallow) }

    private func mix(_ exponent: Double) -> [Double] {
        (0..<channelCount).map { pow(Double($0) / Double(channelCount), exponent) }
    }
}

/// The inputs of the previous token, and mixtures of them with the current ones.
struct TokenShift {
    /// x_{t-1} for every t, [B, T, D].
    let previous: Tensor
    /// The last input, as states keep it: [B, D].
    let last: Tensor

    /// Shifts x [B, T, D]; before the first token stands `carried` [B, D], or zeros.
    init(_ x: Tensor, _ carried: Tensor?, _ pass: ForwardPass) throws {
        var before = try carried?.to(x.elementType).unsqueezed(1)
        if let sequence = pass.context.sequence {
            let recent = try sequence.recent(x, count: 1, carried: carried?.unsqueezed(1))
            before = try recent.entering.to(x.elementType)
            last = try recent.end.squeezed(1)
        } else {
            last = try x.selected(1, x.size(1) - 1).to(x.elementType.accumulator)
        }
        let first = try before ?? Tensor.zeros([x.size(0), 1, x.size(2)], x.elementType, on: x.device)
        previous =
            x.size(1) > 1
            ? try Tensor.concatenated([first, x.sliced(1, 0..<x.size(1) - 1)], axis: 1) : first
    }

    /// Returns μ ⊙ x_t + (1 - μ) ⊙ x_{t-1}, given x_{t-1} and x_t - x_{t-1}.
    static func mix(_ past: Tensor, _ difference: Tensor, _ weight: Tensor) throws -> Tensor {
        try past + difference * weight.to(past.elementType)
    }
}

// MARK: State

/// The state of RWKV-4's time mixing: the sums of WKV and the previous input, 4 d numbers.
public struct RWKVState: MixerState {
    /// Numerator, denominator and exponent [B, C], float32 (float64 in float64 models).
    public let sums: ExponentialSums
    /// The input of the last token [B, D], in the same type.
    public let previousInput: Tensor

    /// A state of given values.
    public init(sums: ExponentialSums, previousInput: Tensor) {
        self.sums = sums
        self.previousInput = previousInput
    }

    /// `numerator`, `denominator`, `exponent` and `previous_input`.
    public var tensors: [(name: String, tensor: Tensor)] { sums.named + [("previous_input", previousInput)] }

    /// Returns the state with transformed tensors.
    public func mapTensors(_ transform: (Tensor) throws -> Tensor) throws -> RWKVState {
        RWKVState(sums: try sums.map(transform), previousInput: try transform(previousInput))
    }
}

extension RWKVTimeMix {
    /// Returns zeros: nothing seen yet.
    public func initialState(batch: Int, elementType: ElementType, device: Device) throws -> any MixerState {
        let zeros = try Tensor.zeros(
            [batch, configuration.channelCount], elementType.accumulator, on: device)
        return RWKVState(
            sums: ExponentialSums(numerator: zeros, denominator: zeros, exponent: zeros), previousInput: zeros
        )
    }

    /// Returns a state of `numerator`, `denominator`, `exponent` and `previous_input`.
    public func state(from tensors: [String: Tensor]) throws -> any MixerState {
        let parts = try StateTensors.ordered(tensors, configuration.stateTensors)
        return RWKVState(
            sums: ExponentialSums(numerator: parts[0], denominator: parts[1], exponent: parts[2]),
            previousInput: parts[3])
    }
}

extension RWKVConfiguration: MixerBuilding {
    /// Returns RWKV-4 time mixing: 4 d² + 5 d parameters; throws if the model has another width.
    public func makeMixer(_ scope: ParameterScope, _ context: LayerContext) throws -> any TokenMixer {
        try RWKVTimeMix(scope, self, context)
    }
}
