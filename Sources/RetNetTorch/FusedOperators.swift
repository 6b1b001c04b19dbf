import CRetNetTorch

/// The native operators: differentiable, one pass over memory each.
///
/// Where a device has kernels for the element type (``hasKernel(for:_:on:)``), they run as one of these; elsewhere they
/// run as chains of LibTorch operations with the same results, and the few whose other form is written in Swift throw.
public enum FusedOperators {
    /// Activations of the fused operators.
    public enum Activation: Sendable {
        case none, swish, gelu, relu
        /// GELU by its tanh approximation, as in T5 v1.1 (`gelu_new`).
        case geluTanh

        var code: ct_activation {
            switch self {
            case .none: CT_ACTIVATION_NONE
            case .swish: CT_ACTIVATION_SWISH
            case .gelu: CT_ACTIVATION_GELU
            case .relu: CT_ACTIVATION_RELU
            case .geluTanh: CT_ACTIVATION_GELU_TANH
            }
        }
    }

    /// Norms over one row.
    public enum NormKind: Sendable {
        case rms, layer

        var code: ct_norm_kind {
            switch self {
            case .rms: CT_NORM_RMS
            case .layer: CT_NORM_LAYER
            }
        }
    }

    /// Rows of a table [V, D] for int64 indices of any shape, converted to an element type and then scaled, in one pass.
    public static func embedding(_ table: Tensor, _ indices: Tensor, scale: Double, as type: ElementType)
        throws
        -> Tensor
    {
        try Tensor.make { ct_scaled_embedding($0, table.handle, indices.handle, scale, type.code) }
    }

    /// Rotates channel pairs of x [B, T, H, A] and moves it to [B, H, T, A], times `scale`.
    ///
    /// Cosines and sines are [B or 1, T, A/2]; nil leaves the channels as they are.
    public static func rotateHeads(
        _ x: Tensor, cosine: Tensor?, sine: Tensor?, interleaved: Bool, scale: Double
    ) throws -> Tensor {
        try Tensor.make { ct_rotate_heads($0, x.handle, cosine?.handle, sine?.handle, interleaved, scale) }
    }

    /// Chunkwise retention: q, k [B, H, T, A], v [B, H, T, V], state [B, H, A, V] or nil.
    ///
    /// Returns outputs [B, H, T, V] in the type of v and the state after the last position in float32 (float64
    /// for float64 inputs). Source: RetNet (arXiv 2307.08621), Eq. 7, with its gradients.
    /// Without `keepsState` that state is not computed, and one of no elements returned. With `trains` the kernels of
    /// training run where there are some; results differ in rounding.
    public static func retention(
        query: Tensor, key: Tensor, value: Tensor, state: Tensor?, logGammas: [Double], chunkLength: Int,
        keepsState: Bool = true, trains: Bool = false
    ) throws -> (output: Tensor, state: Tensor) {
        guard keepsState else {
            let output = try Tensor.make {
                ct_retention_chunkwise(
                    $0, nil, query.handle, key.handle, value.handle, state?.handle, logGammas,
                    Int32(logGammas.count), Int64(chunkLength), trains)
            }
            return (
                output,
                try Tensor.zeros(
                    [query.size(0), query.size(1), 0, 0], query.elementType.accumulator, on: query.device)
            )
        }
        var out: ct_tensor?
        var next: ct_tensor?
        try check(
            ct_retention_chunkwise(
                &out, &next, query.handle, key.handle, value.handle, state?.handle, logGammas,
                Int32(logGammas.count), Int64(chunkLength), trains))
        guard let out, let next else {
            throw TorchError(kind: .other, message: "retention returned no tensor")
        }
        return (Tensor(owning: out), Tensor(owning: next))
    }

    /// The state [B, H, A, V] after the positions of k [B, H, T, A] and v [B, H, T, V] with nothing before them, in float32
    /// (float64 for float64 inputs): what ``retention(query:key:value:state:logGammas:chunkLength:keepsState:trains:)``
    /// returns beside its outputs.
    public static func retentionEndState(key: Tensor, value: Tensor, logGammas: [Double]) throws -> Tensor {
        try Tensor.make {
            ct_retention_end_state($0, key.handle, value.handle, logGammas, Int32(clamping: logGammas.count))
        }
    }

    /// One recurrent step without gradients: q, k [B, H, A], v [B, H, V] and a float32 state [B, H, A, V].
    ///
    /// With `inPlace` the given state is overwritten and returned. Source: RetNet, Eq. 6.
    public static func retentionStep(
        query: Tensor, key: Tensor, value: Tensor, state: Tensor, logGammas: [Double], inPlace: Bool
    ) throws -> (output: Tensor, state: Tensor) {
        var out: ct_tensor?
        var next: ct_tensor?
        try check(
            ct_retention_step(
                &out, &next, query.handle, key.handle, value.handle, state.handle, logGammas,
                Int32(logGammas.count), inPlace))
        guard let out else { throw TorchError(kind: .other, message: "retention returned no tensor") }
        return (Tensor(owning: out), next.map { Tensor(owning: $0) } ?? state)
    }

    /// Norm of every row of x [B, H, T, V], then weight and bias [H·V], then the gate [B, T, H·V].
    ///
    /// `epsilons` is float32 [B or 1, H, T], or a single one. Returns [B, T, H·V].
    public static func headNormGate(
        _ x: Tensor, gate: Tensor?, epsilons: Tensor, weight: Tensor?, bias: Tensor?, kind: NormKind,
        activation: Activation
    ) throws -> Tensor {
        try Tensor.make {
            ct_head_norm_gate(
                $0, x.handle, gate?.handle, epsilons.handle, weight?.handle, bias?.handle, kind.code,
                activation.code)
        }
    }

    /// RMS norm over the last axis.
    public static func rmsNorm(_ x: Tensor, weight: Tensor?, epsilon: Double) throws -> Tensor {
        try Tensor.make { ct_rms_norm($0, x.handle, weight?.handle, epsilon) }
    }

    /// activation(a) · b, or activation(a) alone.
    public static func gatedActivation(_ a: Tensor, _ b: Tensor?, activation: Activation) throws -> Tensor {
        try Tensor.make { ct_gated_activation($0, a.handle, b?.handle, activation.code) }
    }
}
