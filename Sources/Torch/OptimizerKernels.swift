import CTorch

/// Fused optimiser steps over lists of tensors.
public enum OptimizerKernels {
    /// One AdamW step in place, with decoupled weight decay (Loshchilov and Hutter, arXiv 1711.05101).
    ///
    /// All lists are parallel; `step` counts from 1. Tensors are float32 or float64.
    public static func adamW(
        parameters: [Tensor], gradients: [Tensor], firstMoments: [Tensor], secondMoments: [Tensor], step: Int,
        learningRate: Double, beta1: Double, beta2: Double, weightDecay: Double, epsilon: Double
    ) throws {
        guard !parameters.isEmpty else { return }
        try withHandles(parameters) { p in
            try withHandles(gradients) { g in
                try withHandles(firstMoments) { m in
                    try withHandles(secondMoments) { v in
                        try check(
                            ct_adamw(
                                p, g, m, v, Int32(parameters.count), Int64(step), learningRate, beta1, beta2,
                                weightDecay, epsilon))
                    }
                }
            }
        }
    }

    /// The Euclidean norm over all elements of all tensors.
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
