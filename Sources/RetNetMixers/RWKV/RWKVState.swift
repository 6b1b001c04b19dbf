import RetNetTorch

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

    /// The state with transformed tensors.
    public func mapTensors(_ transform: (Tensor) throws -> Tensor) throws -> RWKVState {
        RWKVState(sums: try sums.map(transform), previousInput: try transform(previousInput))
    }
}
