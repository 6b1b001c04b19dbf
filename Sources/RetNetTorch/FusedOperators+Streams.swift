import CRetNetTorch

/// What surrounds the layers of a model: the residual stream with its norms, and the loss of its logits.
extension FusedOperators {
    /// RMS norm, or with a bias layer norm, of the stream x + branch in one pass, and the stream itself, which is x without a
    /// branch.
    ///
    /// The stream may be float32 where branch and result are bfloat16.
    public static func residualNorm(
        _ x: Tensor, adding branch: Tensor? = nil, weight: Tensor, bias: Tensor? = nil, epsilon: Double,
        as type: ElementType
    ) throws -> (normed: Tensor, stream: Tensor) {
        var out: ct_tensor?
        var sum: ct_tensor?
        try check(
            ct_residual_norm(
                &out, &sum, x.handle, branch?.handle, weight.handle, bias?.handle, epsilon, type.code))
        guard let out else { throw TorchError(kind: .other, message: "the norm returned no tensor") }
        return (Tensor(owning: out), sum.map { Tensor(owning: $0) } ?? x)
    }

    /// The stream x + branch in the type of x.
    public static func residualAdd(_ x: Tensor, _ branch: Tensor) throws -> Tensor {
        try Tensor.make { ct_residual_add($0, x.handle, branch.handle) }
    }

    /// Cross entropies and logarithms of normalisers, both [N] and differentiable, of logits [N, V] in one pass.
    ///
    /// The loss is 0 where the int64 target is -100; throws when a target is outside the vocabulary.
    public static func tokenLosses(_ logits: Tensor, targets: Tensor) throws -> (
        losses: Tensor, logNormalizers: Tensor
    ) {
        var losses: ct_tensor?
        var logSums: ct_tensor?
        try check(ct_token_loss(&losses, &logSums, logits.handle, targets.handle))
        guard let losses, let logSums else {
            throw TorchError(kind: .other, message: "the loss returned no tensor")
        }
        return (Tensor(owning: losses), Tensor(owning: logSums))
    }

    /// True if ``outputLoss(_:weight:bias:targets:zLoss:countsCorrect:blockByteCount:)`` is the way to the loss of hidden states x [N, D] with
    /// a vocabulary of some size: there is a kernel, and more than 2²² logits, which with their gradients are more than the
    /// caches hold.
    public static func runsOutputLoss(_ x: Tensor, vocabularySize: Int) -> Bool {
        guard x.rank == 2, hasKernel(for: .outputLoss, x.elementType, on: x.device) else { return false }
        let (count, overflows) = x.size(0).multipliedReportingOverflow(by: vocabularySize)
        return overflows || count > 1 << 22
    }

    /// An output matrix and the summed loss of its logits, which never lie in memory as a whole.
    ///
    /// x [N, D], `weight` [V, D] and `bias` [V] of any floating-point type, int64 `targets` [N], of which -100 does not count. Returns the sum of cross entropy and `zLoss` times the squared logarithm of the normalizer over all targets;
    /// without gradients the cross entropy alone and, if they are counted, the number of targets with the largest logit.
    /// Gradients are formed in the forward pass. `blockByteCount` bounds the bytes of logits at a time; by default 64 MiB where
    /// there are gradients. Throws where there is no kernel.
    public static func outputLoss(
        _ x: Tensor, weight: Tensor, bias: Tensor? = nil, targets: Tensor, zLoss: Double = 0,
        countsCorrect: Bool = false, blockByteCount: Int? = nil
    ) throws -> (loss: Tensor, entropy: Tensor, correct: Tensor?) {
        var loss: ct_tensor?
        var entropy: ct_tensor?
        var correct: ct_tensor?
        let status =
            countsCorrect
            ? ct_output_loss(
                &loss, &entropy, &correct, x.handle, weight.handle, bias?.handle, targets.handle, zLoss,
                Int64(blockByteCount ?? 0))
            : ct_output_loss(
                &loss, &entropy, nil, x.handle, weight.handle, bias?.handle, targets.handle, zLoss,
                Int64(blockByteCount ?? 0))
        try check(status)
        guard let loss, let entropy else {
            throw TorchError(kind: .other, message: "the loss returned no tensor")
        }
        return (Tensor(owning: loss), Tensor(owning: entropy), correct.map { Tensor(owning: $0) })
    }
}
