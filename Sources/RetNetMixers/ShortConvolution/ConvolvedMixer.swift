import RetNetTorch

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

    /// What the mixer itself says.
    public func unsupportedReason(for form: MixerForm) -> String? { mixer.unsupportedReason(for: form) }

    /// mixer(convolution(x)).
    public func callAsFunction(_ x: Tensor, state: (any MixerState)?, _ pass: ForwardPass) throws
        -> (output: Tensor, state: any MixerState)
    {
        let previous = try own(state)
        let (convolved, ring) = try convolution(x, ring: previous?.ring)
        let (output, next) = try mixer(convolved, state: previous?.inner, pass)
        return (output, ConvolvedState(ring: ring, inner: next))
    }

    /// A ring of zeros and the mixer's own initial state.
    public func initialState(batch: Int, elementType: ElementType, device: Device) throws -> any MixerState {
        ConvolvedState(
            ring: try convolution.initialRing(batch: batch, elementType: elementType, device: device),
            inner: try mixer.initialState(batch: batch, elementType: elementType, device: device))
    }

    /// Moves the mixer's state; the ring has no positions.
    public func rebased(_ state: any MixerState, by offsets: [Int]) throws -> any MixerState {
        guard let state = try own(state) else { return state }
        return ConvolvedState(ring: state.ring, inner: try mixer.rebased(state.inner, by: offsets))
    }

    /// A state from `convolution_ring` and the mixer's own tensors.
    public func state(from tensors: [String: Tensor]) throws -> any MixerState {
        var rest = tensors
        guard let ring = rest.removeValue(forKey: ConvolvedState.ringName),
            ring.rank == 3, ring.size(1) == convolution.width - 1, ring.size(2) == convolution.channels
        else {
            throw MixerError.wrongState(
                expected:
                    "'\(ConvolvedState.ringName)' [B, \(convolution.width - 1), \(convolution.channels)]",
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
    static let ringName = "convolution_ring"

    var ring: Tensor
    var inner: any MixerState

    var tensors: [(name: String, tensor: Tensor)] { [(Self.ringName, ring)] + inner.tensors }
    var growingAxes: [String: Int] { inner.growingAxes }

    func mapTensors(_ transform: (Tensor) throws -> Tensor) throws -> ConvolvedState {
        ConvolvedState(ring: try transform(ring), inner: try inner.mapTensors(transform))
    }
}
