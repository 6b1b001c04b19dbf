import RetNetTorch

/// The state of a layer that looks one token back: the previous input.
public struct TokenShiftState: MixerState {
    /// The input of the last token [B, D], float32 (float64 in float64 models).
    public let previousInput: Tensor

    /// A state of given values.
    public init(previousInput: Tensor) {
        self.previousInput = previousInput
    }

    /// `previous_input`.
    public var tensors: [(name: String, tensor: Tensor)] { [("previous_input", previousInput)] }

    /// The state with the transformed tensor.
    public func mapTensors(_ transform: (Tensor) throws -> Tensor) throws -> TokenShiftState {
        TokenShiftState(previousInput: try transform(previousInput))
    }
}
