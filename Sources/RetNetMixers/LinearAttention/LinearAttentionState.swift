import RetNetTorch

/// The state of linear attention: S = Σ φ(k)ᵀ v and, for the normaliser `sum`, z = Σ φ(k).
public struct LinearAttentionState: MixerState {
    /// S [B, H, A, A], float32 (float64 in float64 models).
    public let memory: Tensor
    /// z [B, H, A], only with the normaliser `sum`.
    public let keySum: Tensor?

    /// A state of given values.
    public init(memory: Tensor, keySum: Tensor?) {
        self.memory = memory
        self.keySum = keySum
    }

    /// `memory`, and `key_sum` where there is one.
    public var tensors: [(name: String, tensor: Tensor)] {
        [("memory", memory)] + (keySum.map { [("key_sum", $0)] } ?? [])
    }

    /// The state with transformed tensors.
    public func mapTensors(_ transform: (Tensor) throws -> Tensor) throws -> LinearAttentionState {
        LinearAttentionState(memory: try transform(memory), keySum: try keySum.map(transform))
    }
}
