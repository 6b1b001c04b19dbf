import CRetNetTorch

extension FusedOperators {
    /// Depthwise causal convolution of x [B, T, C] with weights [C, W] and a bias [C], and the activation behind it.
    ///
    /// `ring` [B, W-1, C] holds the inputs before the first position; nil stands for zeros. Returns [B, T, C] in
    /// the type of x and the ring after the last position in float32 (float64 for float64 inputs). With `trains` the kernel of
    /// training runs where there is one, in one pass over memory each way; results differ in rounding.
    public static func shortConvolution(
        _ x: Tensor, weight: Tensor, bias: Tensor?, ring: Tensor?, activation: Activation = .none,
        trains: Bool = false
    ) throws -> (output: Tensor, ring: Tensor) {
        var out: ct_tensor?
        var next: ct_tensor?
        try check(
            ct_short_convolution(
                &out, &next, x.handle, weight.handle, bias?.handle, ring?.handle, activation.code, trains))
        guard let out, let next else {
            throw TorchError(kind: .other, message: "the convolution returned no tensor")
        }
        return (Tensor(owning: out), Tensor(owning: next))
    }
}
