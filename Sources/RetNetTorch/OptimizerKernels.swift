import CRetNetTorch

/// Fused optimizer steps over lists of tensors.
public enum OptimizerKernels {
    /// Makes one AdamW step in place, with decoupled weight decay (Loshchilov and Hutter, arXiv 1711.05101).
    ///
    /// All lists are parallel; `step` counts from 1. Tensors are float32 or float64. Gradients count `gradientScale` times, and
    /// stay as they are; on processors each number is read and written once.
    public static func adamW(
        parameters: [Tensor], gradients: [Tensor], firstMoments: [Tensor], secondMoments: [Tensor], step: Int,
        learningRate: Double, beta1: Double, beta2: Double, weightDecay: Double, epsilon: Double,
        gradientScale: Double = 1
    ) throws {
        guard !parameters.isEmpty else { return }
        try withHandles(parameters) { p in
            try withHandles(gradients) { g in
                try withHandles(firstMoments) { m in
                    try withHandles(secondMoments) { v in
                        try check(
                            ct_adamw(
                                p, g, m, v, Int32(parameters.count), Int64(step), learningRate, beta1, beta2,
                                weightDecay, epsilon, gradientScale))
                    }
                }
            }
        }
    }

    /// Makes one Adafactor step in place (Shazeer and Stern, arXiv 1804.04235), without momentum.
    ///
    /// `moments` are those of rows [M] and columns [N] of a matrix [M, N], or one of the parameter's own shape.
    public static func adafactor(
        parameter: Tensor, gradient: Tensor, moments: [Tensor], beta: Double, learningRate: Double,
        clipThreshold: Double, scalesByParameter: Bool, weightDecay: Double, gradientScale: Double = 1
    ) throws {
        try check(
            ct_adafactor(
                parameter.handle, gradient.handle, moments.first?.handle,
                moments.count > 1 ? moments[1].handle : nil, beta, learningRate, clipThreshold,
                scalesByParameter, weightDecay, gradientScale))
    }

    /// Makes one Muon step in place, with decoupled weight decay.
    ///
    /// Source: github.com/KellerJordan/Muon. Parameters are matrices [M, N], or several with leading axes, all of one shape;
    /// `momenta` have it too. Their products are made together. The update is multiplied by `learningRate` times `scale`, the
    /// weight decay by `learningRate`.
    public static func muon(
        parameters: [Tensor], gradients: [Tensor], momenta: [Tensor], momentumDecay: Double, nesterov: Bool,
        iterationCount: Int, learningRate: Double, scale: Double, weightDecay: Double,
        gradientScale: Double = 1
    ) throws {
        try withHandles(parameters) { p in
            try withHandles(gradients) { g in
                try withHandles(momenta) { m in
                    try check(
                        ct_muon(
                            p, g, m, Int32(parameters.count), momentumDecay, nesterov, Int64(iterationCount),
                            learningRate, scale, weightDecay, gradientScale))
                }
            }
        }
    }

    /// Returns the Euclidean norm over all elements of all tensors.
    public static func globalNorm(_ tensors: [Tensor]) throws -> Double {
        guard !tensors.isEmpty else { return 0 }
        var norm = 0.0
        try withHandles(tensors) { try check(ct_global_norm(&norm, $0, Int32(tensors.count))) }
        return norm
    }

    /// Multiplies every tensor in place.
    public static func scale(_ tensors: [Tensor], by factor: Double) throws {
        guard !tensors.isEmpty else { return }
        try withHandles(tensors) { try check(ct_scale_all($0, Int32(tensors.count), factor)) }
    }
}
