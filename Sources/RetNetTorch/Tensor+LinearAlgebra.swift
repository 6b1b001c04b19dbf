import CRetNetTorch

extension Tensor {
    /// Matrix product of the last two axes, broadcasting the others.
    public func matmul(_ other: Tensor) throws -> Tensor {
        try Tensor.make { ct_matmul($0, handle, other.handle) }
    }

    /// x Wᵀ + bias for a weight of shape [out, in].
    public func linear(_ weight: Tensor, bias: Tensor? = nil) throws -> Tensor {
        try Tensor.make { ct_linear($0, handle, weight.handle, bias?.handle) }
    }

    /// Rows of this [V, D] table for int64 or int32 indices of any shape.
    public func embedding(_ indices: Tensor) throws -> Tensor {
        try Tensor.make { ct_embedding($0, handle, indices.handle) }
    }

    /// Layer norm over the last axis.
    public func layerNorm(weight: Tensor?, bias: Tensor?, epsilon: Double) throws -> Tensor {
        try Tensor.make { ct_layer_norm($0, handle, weight?.handle, bias?.handle, epsilon) }
    }

    /// x with L x = `right`, L the lower triangle of this [..., N, N] with ones on its diagonal, by substitution.
    public func solvingUnitLowerTriangular(_ right: Tensor) throws -> Tensor {
        try Tensor.make { ct_solve_lower_triangular($0, handle, right.handle, true) }
    }

    /// An orthonormal basis of the columns of this [M, N] matrix, M ≥ N, by a QR decomposition with a positive R.
    public func orthonormalColumns() throws -> Tensor {
        try Tensor.make { ct_orthonormal_columns($0, handle) }
    }

    /// The lower triangle; elements above the diagonal become zero.
    public func lowerTriangle(diagonal: Int = 0) throws -> Tensor {
        try Tensor.make { ct_tril($0, handle, Int64(diagonal)) }
    }

    /// How ``crossEntropy(_:reduction:)`` combines rows.
    public enum LossReduction: Sendable {
        case none, mean, sum

        var code: ct_loss_reduction {
            switch self {
            case .none: CT_LOSS_PER_ROW
            case .mean: CT_LOSS_MEAN
            case .sum: CT_LOSS_SUM
            }
        }
    }

    /// Cross entropy in nats of logits [N, V] for int64 targets [N]; rows with target -100 do not count.
    ///
    /// Computed in float32 (float64 for float64 logits).
    public func crossEntropy(_ targets: Tensor, reduction: LossReduction = .mean) throws -> Tensor {
        try Tensor.make { ct_cross_entropy($0, handle, targets.handle, reduction.code) }
    }

    /// Copies the elements of `source` (broadcast, converted) into this tensor.
    public func copy(from source: Tensor) throws { try check(ct_copy_in_place(handle, source.handle)) }
    /// Multiplies every element in place.
    public func scale(by factor: Double) throws { try check(ct_scale_in_place(handle, factor)) }
    /// Adds `factor * other` in place.
    public func add(_ other: Tensor, factor: Double = 1) throws {
        try check(ct_add_in_place(handle, other.handle, factor))
    }
}
