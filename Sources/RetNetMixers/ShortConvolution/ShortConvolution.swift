import RetNetArchitecture
import RetNetLayers
import RetNetTorch

/// A depthwise causal convolution over the last few positions of every channel.
///
///     y_t = b + Σⱼ wⱼ ⊙ x_{t-(W-1)+j},   j = 0 … W-1
///
/// Its state is a ring of the last W-1 inputs.
public struct ShortConvolution {
    /// W, the number of taps.
    public let width: Int
    /// C, the number of channels.
    public let channels: Int
    private let weight: Tensor
    private let bias: Tensor?

    /// Declares `weight` [C, W] and, optionally, `bias` [C], U(±1/√W): PyTorch's default for depthwise convolutions.
    public init(
        _ scope: ParameterScope, channels: Int, width: Int, bias: Bool,
        initializer: Initializer = .fanInUniform(scale: 1)
    ) throws {
        self.channels = channels
        self.width = width
        weight = try scope.parameter("weight", [channels, width], initializer, decays: false)
        let bound = 1 / Double(max(1, width)).squareRoot()
        self.bias = bias ? try scope.parameter("bias", [channels], .uniform(from: -bound, to: bound)) : nil
    }

    /// Convolves x [B, T, C] after the inputs of the ring [B, W-1, C] (nil: none) and applies an activation → [B, T, C] and
    /// the next ring.
    ///
    /// In training another kernel runs, which differs in rounding. With a `sequence`, x is this rank's part of it, and rings are
    /// those of the whole.
    public func callAsFunction(
        _ x: Tensor, ring: Tensor?, in sequence: SequencePart? = nil,
        activation: FusedOperators.Activation = .none, isTraining: Bool = false
    ) throws -> (output: Tensor, ring: Tensor) {
        let recent = try sequence?.recent(x, count: width - 1, carried: ring)
        let result = try FusedOperators.shortConvolution(
            x, weight: weight, bias: bias, ring: recent?.entering ?? ring, activation: activation,
            trains: isTraining)
        return (result.output, recent?.end ?? result.ring)
    }

    /// Returns the ring before the first position.
    public func initialRing(batch: Int, elementType: ElementType, device: Device) throws -> Tensor {
        try Tensor.zeros([batch, width - 1, channels], elementType.accumulator, on: device)
    }

    /// Computes the same convolution position by position: the specification, outside any kernel.
    public func definition(_ x: Tensor, ring: Tensor?) throws -> (output: Tensor, ring: Tensor) {
        let type = x.elementType.accumulator
        let past = try ring ?? initialRing(batch: x.size(0), elementType: type, device: x.device)
        let all = try Tensor.concatenated([past.to(type), x.to(type)], axis: 1)
        let outputs = try (0..<x.size(1)).map { position in
            let window = try all.sliced(1, position..<position + width)
            let sum = try (window * weight.to(type).transposed(0, 1)).sum([1])
            return try bias.map { try sum + $0.to(type) } ?? sum
        }
        return (try Tensor.stacked(outputs, axis: 1), try all.sliced(1, x.size(1)..<all.size(1)))
    }
}

/// A short convolution before a mixer, for architectures that have none of their own.
public struct ConvolvedMixer: TokenMixer {
    private let convolution: ShortConvolution
    private let mixer: any TokenMixer

    /// The mixer behind the convolution.
    public init(convolution: ShortConvolution, mixer: any TokenMixer) {
        self.convolution = convolution
        self.mixer = mixer
    }

    /// The name of the mixer itself.
    public var name: String { mixer.name }

    /// Returns the reason of the mixer itself.
    public func unsupportedReason(for form: MixerForm) -> String? { mixer.unsupportedReason(for: form) }

    /// True: the mixer behind the convolution may run rank by rank.
    public var dividesSequences: Bool { true }

    /// Returns mixer(convolution(x)).
    public func callAsFunction(_ x: Tensor, state: (any MixerState)?, _ pass: ForwardPass) throws
        -> (output: Tensor, state: any MixerState)
    {
        let previous = try own(state)
        let (convolved, ring) = try convolution(
            x, ring: previous?.ring, in: pass.context.sequence, isTraining: pass.context.isTraining)
        let (output, next) = try mixer.mix(convolved, state: previous?.inner, pass)
        return (output, ConvolvedState(ring: ring, inner: next))
    }

    /// Returns a ring of zeros and the mixer's own initial state.
    public func initialState(batch: Int, elementType: ElementType, device: Device) throws -> any MixerState {
        ConvolvedState(
            ring: try convolution.initialRing(batch: batch, elementType: elementType, device: device),
            inner: try mixer.initialState(batch: batch, elementType: elementType, device: device))
    }

    /// Returns the mixer's state moved back; the ring has no positions.
    public func rebased(_ state: any MixerState, by offsets: [Int]) throws -> any MixerState {
        guard let state = try own(state) else { return state }
        return ConvolvedState(ring: state.ring, inner: try mixer.rebased(state.inner, by: offsets))
    }

    /// Returns a state of `convolution_ring` and the mixer's own tensors.
    public func state(from tensors: [String: Tensor]) throws -> any MixerState {
        var rest = tensors
        guard let ring = rest.removeValue(forKey: LayerConfiguration.convolutionRingName),
            ring.rank == 3, ring.size(1) == convolution.width - 1, ring.size(2) == convolution.channels
        else {
            throw MixerError.wrongState(
                expected:
                    "'\(LayerConfiguration.convolutionRingName)' [B, \(convolution.width - 1), \(convolution.channels)]",
                found: "\(tensors.mapValues(\.shape))")
        }
        return ConvolvedState(ring: ring, inner: try mixer.state(from: rest))
    }

    private func own(_ state: (any MixerState)?) throws -> ConvolvedState? {
        guard let state else { return nil }
        guard let state = state as? ConvolvedState else {
            throw MixerError.wrongState(
                expected: "a state with a convolution ring", found: "\(type(of: state))")
        }
        return state
    }
}

/// The last inputs of a convolution and the state of the mixer behind it.
struct ConvolvedState: MixerState {
    var ring: Tensor
    var inner: any MixerState

    var tensors: [(name: String, tensor: Tensor)] {
        [(LayerConfiguration.convolutionRingName, ring)] + inner.tensors
    }
    var growingAxes: [String: Int] { inner.growingAxes }

    func mapTensors(_ transform: (Tensor) throws -> Tensor) throws -> ConvolvedState {
        ConvolvedState(ring: try transform(ring), inner: try inner.mapTensors(transform))
    }
}
