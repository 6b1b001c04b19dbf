import RetNetTorch

/// The state of retention: S = Σ γ^(n-m) kₘᵀ vₘ, and z = Σ γ^(n-m) kₘ where scores are normalised by their sum.
public struct RetentionState: MixerState {
    /// S [B, H, A, V], float32 (float64 in float64 models), raw: no normaliser is folded in.
    public let memory: Tensor
    /// z [B, H, A], only with `decay_abs_sum`.
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
    public func mapTensors(_ transform: (Tensor) throws -> Tensor) throws -> RetentionState {
        RetentionState(memory: try transform(memory), keySum: try keySum.map(transform))
    }
}
