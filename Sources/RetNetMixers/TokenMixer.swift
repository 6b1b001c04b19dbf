import RetNetTorch

/// A layer that moves information between positions: [B, T, D] → [B, T, D], from a given state to a new one.
///
/// The hinge of the package: passes of models, and with them training, generation and evaluation, go through
/// this protocol, and only configurations name a mixer.
public protocol TokenMixer {
    /// The name used in configurations and messages.
    var name: String { get }

    /// Why the mixer cannot run in a form, or nil when it can.
    func unsupportedReason(for form: MixerForm) -> String?

    /// Mixes x [B, T, D] after the tokens that `state` has absorbed; nil is the start of the sequence.
    ///
    /// Returns the output and the state after the last position. The given state is not changed. Throws
    /// ``MixerError`` when the form is not supported or the state does not fit.
    func callAsFunction(_ x: Tensor, state: (any MixerState)?, _ pass: ForwardPass) throws
        -> (output: Tensor, state: any MixerState)

    /// The state before the first token, for a batch.
    func initialState(batch: Int, elementType: ElementType, device: Device) throws -> any MixerState

    /// The state with every row's positions moved back by `offsets[row]`, giving identical outputs afterwards.
    func rebased(_ state: any MixerState, by offsets: [Int]) throws -> any MixerState

    /// A state read back from saved tensors; throws ``MixerError/wrongState(expected:found:)`` if they do not fit.
    func state(from tensors: [String: Tensor]) throws -> any MixerState
}

extension TokenMixer {
    /// Every form.
    public func unsupportedReason(for form: MixerForm) -> String? { nil }

    /// The same state: mixers without positions have nothing to move.
    public func rebased(_ state: any MixerState, by offsets: [Int]) throws -> any MixerState { state }
}
