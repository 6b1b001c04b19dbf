import RetNetTorch

/// The state of H3: the modes of all products of channels, and the last keys.
public struct H3State: MixerState {
    /// X [B, H, 2M, P·P], real and imaginary parts in float32 (float64 in float64 models).
    public let memory: Tensor
    /// The last W-1 keys [B, W-1, D] in the same type, oldest first.
    public let keys: Tensor

    /// A state of given values.
    public init(memory: Tensor, keys: Tensor) {
        self.memory = memory
        self.keys = keys
    }

    /// `memory` and `keys`.
    public var tensors: [(name: String, tensor: Tensor)] { [("memory", memory), ("keys", keys)] }

    /// The state with transformed tensors.
    public func mapTensors(_ transform: (Tensor) throws -> Tensor) throws -> H3State {
        H3State(memory: try transform(memory), keys: try transform(keys))
    }
}
