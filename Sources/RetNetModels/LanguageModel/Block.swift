import RetNetMixers
import RetNetTorch

/// One layer of a model with its state: what a stack of layers needs to know of it.
protocol Block {
    /// The auxiliary losses that a pass in training adds, in order.
    var auxiliaryLossNames: [String] { get }
    func unsupportedReason(for form: MixerForm) -> String?
    /// x [B, T, D] → [B, T, D] with the residual sums inside, and the state after the last position.
    func callAsFunction(_ x: Tensor, state: (any MixerState)?, _ pass: ForwardPass) throws
        -> (output: Tensor, state: any MixerState)
    func initialState(batch: Int, elementType: ElementType, device: Device) throws -> any MixerState
    /// The state with every row, which stood at the given place, moved to position 0.
    func rebased(_ state: any MixerState, from positions: [SequencePosition]) throws -> any MixerState
    func state(from tensors: [String: Tensor]) throws -> any MixerState
}

extension MixerBlock: Block {
    var auxiliaryLossNames: [String] { feedForward?.layer.auxiliaryLossNames ?? [] }

    func unsupportedReason(for form: MixerForm) -> String? { mixer.unsupportedReason(for: form) }

    func initialState(batch: Int, elementType: ElementType, device: Device) throws -> any MixerState {
        try mixer.initialState(batch: batch, elementType: elementType, device: device)
    }

    func rebased(_ state: any MixerState, from positions: [SequencePosition]) throws -> any MixerState {
        try mixer.rebased(state, by: positions.map(\.position))
    }

    func state(from tensors: [String: Tensor]) throws -> any MixerState { try mixer.state(from: tensors) }
}
