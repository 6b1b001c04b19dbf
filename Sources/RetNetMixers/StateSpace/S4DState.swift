import RetNetTorch

/// The state of diagonal state spaces: M complex modes for each channel.
public struct S4DState: MixerState {
    /// x [B, C, 2, M], real and imaginary parts in float32 (float64 in float64 models).
    public let modes: Tensor

    /// A state of given values.
    public init(modes: Tensor) { self.modes = modes }

    /// `modes`.
    public var tensors: [(name: String, tensor: Tensor)] { [("modes", modes)] }

    /// The state with transformed tensors.
    public func mapTensors(_ transform: (Tensor) throws -> Tensor) throws -> S4DState {
        S4DState(modes: try transform(modes))
    }
}
