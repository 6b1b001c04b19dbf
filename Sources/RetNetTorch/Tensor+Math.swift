import CRetNetTorch

extension Tensor {
    private func unary(_ operation: ct_unary) throws -> Tensor {
        try Tensor.make { ct_unary_op($0, handle, operation) }
    }

    /// -x.
    public func negated() throws -> Tensor { try unary(CT_NEG) }
    /// |x|.
    public func abs() throws -> Tensor { try unary(CT_ABS) }
    /// e^x.
    public func exp() throws -> Tensor { try unary(CT_EXP) }
    /// e^x - 1, precise near 0.
    public func expm1() throws -> Tensor { try unary(CT_EXPM1) }
    /// Natural logarithm.
    public func log() throws -> Tensor { try unary(CT_LOG) }
    /// ln(1 + x), precise near 0.
    public func log1p() throws -> Tensor { try unary(CT_LOG1P) }
    /// Square root.
    public func sqrt() throws -> Tensor { try unary(CT_SQRT) }
    /// 1 / √x.
    public func rsqrt() throws -> Tensor { try unary(CT_RSQRT) }
    /// Sine.
    public func sin() throws -> Tensor { try unary(CT_SIN) }
    /// Cosine.
    public func cos() throws -> Tensor { try unary(CT_COS) }
    /// Hyperbolic tangent.
    public func tanh() throws -> Tensor { try unary(CT_TANH) }
    /// 1 / (1 + e^-x).
    public func sigmoid() throws -> Tensor { try unary(CT_SIGMOID) }
    /// ln(1 + e^x).
    public func softplus() throws -> Tensor { try unary(CT_SOFTPLUS) }
    /// Swish, x · sigmoid(x).
    public func silu() throws -> Tensor { try unary(CT_SILU) }
    /// Exact (erf) GELU.
    public func gelu() throws -> Tensor { try unary(CT_GELU) }
    /// max(x, 0).
    public func relu() throws -> Tensor { try unary(CT_RELU) }
    /// Booleans: neither infinite nor NaN.
    public func isFinite() throws -> Tensor { try unary(CT_IS_FINITE) }
    /// Boolean negation.
    public func not() throws -> Tensor { try unary(CT_LOGICAL_NOT) }

    private static func binary(_ a: Tensor, _ b: Tensor, _ operation: ct_binary) throws -> Tensor {
        try make { ct_binary_op($0, a.handle, b.handle, operation) }
    }
    private static func scalar(_ a: Tensor, _ b: Double, _ operation: ct_binary, reversed: Bool = false)
        throws
        -> Tensor
    {
        try make { ct_scalar_op($0, a.handle, b, operation, reversed) }
    }

    /// Element-wise sum with broadcasting.
    public static func + (a: Tensor, b: Tensor) throws -> Tensor { try binary(a, b, CT_ADD) }
    /// Element-wise difference with broadcasting.
    public static func - (a: Tensor, b: Tensor) throws -> Tensor { try binary(a, b, CT_SUB) }
    /// Element-wise product with broadcasting.
    public static func * (a: Tensor, b: Tensor) throws -> Tensor { try binary(a, b, CT_MUL) }
    /// Element-wise quotient with broadcasting.
    public static func / (a: Tensor, b: Tensor) throws -> Tensor { try binary(a, b, CT_DIV) }
    /// Adds a number to every element.
    public static func + (a: Tensor, b: Double) throws -> Tensor { try scalar(a, b, CT_ADD) }
    /// Subtracts a number from every element.
    public static func - (a: Tensor, b: Double) throws -> Tensor { try scalar(a, b, CT_SUB) }
    /// Multiplies every element by a number.
    public static func * (a: Tensor, b: Double) throws -> Tensor { try scalar(a, b, CT_MUL) }
    /// Divides every element by a number.
    public static func / (a: Tensor, b: Double) throws -> Tensor { try scalar(a, b, CT_DIV) }
    /// Adds every element to a number.
    public static func + (a: Double, b: Tensor) throws -> Tensor { try scalar(b, a, CT_ADD) }
    /// Subtracts every element from a number.
    public static func - (a: Double, b: Tensor) throws -> Tensor { try scalar(b, a, CT_SUB, reversed: true) }
    /// Multiplies a number by every element.
    public static func * (a: Double, b: Tensor) throws -> Tensor { try scalar(b, a, CT_MUL) }
    /// Divides a number by every element.
    public static func / (a: Double, b: Tensor) throws -> Tensor { try scalar(b, a, CT_DIV, reversed: true) }

    /// Element-wise larger one.
    public func maximum(_ other: Tensor) throws -> Tensor { try Tensor.binary(self, other, CT_MAXIMUM) }
    /// At least `bound`.
    public func maximum(_ bound: Double) throws -> Tensor { try Tensor.scalar(self, bound, CT_MAXIMUM) }
    /// Element-wise smaller one.
    public func minimum(_ other: Tensor) throws -> Tensor { try Tensor.binary(self, other, CT_MINIMUM) }
    /// x to the power of a number.
    public func power(_ exponent: Double) throws -> Tensor { try Tensor.scalar(self, exponent, CT_POW) }
    /// Returns `base` raised to every exponent.
    public static func power(_ base: Double, _ exponents: Tensor) throws -> Tensor {
        try scalar(exponents, base, CT_POW, reversed: true)
    }
    /// Within `low` and `high`.
    public func clamped(_ low: Double, _ high: Double) throws -> Tensor {
        try Tensor.make { ct_clamp($0, handle, low, high) }
    }
    /// Booleans: below `other`.
    public func isLess(than other: Tensor) throws -> Tensor { try Tensor.binary(self, other, CT_LT) }
    /// Booleans: below a number.
    public func isLess(than other: Double) throws -> Tensor { try Tensor.scalar(self, other, CT_LT) }
    /// Booleans: at least a number.
    public func isAtLeast(_ other: Double) throws -> Tensor { try Tensor.scalar(self, other, CT_GE) }
    /// Booleans: equal.
    public func isEqual(to other: Tensor) throws -> Tensor { try Tensor.binary(self, other, CT_EQ) }
    /// Booleans: equal to a number.
    public func isEqual(to other: Double) throws -> Tensor { try Tensor.scalar(self, other, CT_EQ) }

    private func reduced(_ axes: [Int], _ keep: Bool, _ operation: ct_reduction) throws -> Tensor {
        try withSizes(axes) { sizes, count in
            try Tensor.make { ct_reduce($0, handle, sizes, count, keep, operation) }
        }
    }

    /// Sum over axes, or over everything when none are given.
    public func sum(_ axes: [Int] = [], keepingAxes: Bool = false) throws -> Tensor {
        try reduced(axes, keepingAxes, CT_SUM)
    }
    /// Mean over axes, or over everything when none are given.
    public func mean(_ axes: [Int] = [], keepingAxes: Bool = false) throws -> Tensor {
        try reduced(axes, keepingAxes, CT_MEAN)
    }
    /// Largest element over axes, or of everything when none are given.
    public func max(_ axes: [Int] = [], keepingAxes: Bool = false) throws -> Tensor {
        try reduced(axes, keepingAxes, CT_AMAX)
    }
    /// Smallest element over axes, or of everything when none are given.
    public func min(_ axes: [Int] = [], keepingAxes: Bool = false) throws -> Tensor {
        try reduced(axes, keepingAxes, CT_AMIN)
    }
    /// Running sum along an axis.
    public func cumulativeSum(axis: Int) throws -> Tensor {
        try Tensor.make { ct_cumsum($0, handle, Int64(axis)) }
    }
    /// Index (int64) of the largest element along an axis.
    public func argmax(axis: Int) throws -> Tensor { try Tensor.make { ct_argmax($0, handle, Int64(axis)) } }
    /// Probabilities along an axis.
    public func softmax(axis: Int) throws -> Tensor {
        try Tensor.make { ct_softmax($0, handle, Int64(axis), false) }
    }
    /// Log-probabilities along an axis.
    public func logSoftmax(axis: Int) throws -> Tensor {
        try Tensor.make { ct_softmax($0, handle, Int64(axis), true) }
    }
    /// Returns true if no element is infinite or NaN.
    public func allFinite() throws -> Bool {
        var result = false
        try check(ct_all_finite(&result, handle))
        return result
    }
}

// MARK: Linear algebra and losses

extension Tensor {
    /// Matrix product of the last two axes, broadcasting the others.
    public func matmul(_ other: Tensor) throws -> Tensor {
        try Tensor.make { ct_matmul($0, handle, other.handle) }
    }

    /// Returns x Wᵀ + bias for a weight of shape [out, in].
    public func linear(_ weight: Tensor, bias: Tensor? = nil) throws -> Tensor {
        try Tensor.make { ct_linear($0, handle, weight.handle, bias?.handle) }
    }

    /// Returns rows of this [V, D] table for int64 or int32 indices of any shape.
    public func embedding(_ indices: Tensor) throws -> Tensor {
        try Tensor.make { ct_embedding($0, handle, indices.handle) }
    }

    /// Layer norm over the last axis.
    public func layerNorm(weight: Tensor?, bias: Tensor?, epsilon: Double) throws -> Tensor {
        try Tensor.make { ct_layer_norm($0, handle, weight?.handle, bias?.handle, epsilon) }
    }

    /// Returns x with L x = `right`, L the lower triangle of this [..., N, N] with ones on its diagonal, by substitution.
    public func solvingUnitLowerTriangular(_ right: Tensor) throws -> Tensor {
        try Tensor.make { ct_solve_lower_triangular($0, handle, right.handle, true) }
    }

    /// Returns an orthonormal basis of the columns of this [M, N] matrix, M ≥ N, by a QR decomposition with a positive R.
    public func orthonormalColumns() throws -> Tensor {
        try Tensor.make { ct_orthonormal_columns($0, handle) }
    }

    /// Returns the lower triangle; elements above the diagonal become zero.
    public func lowerTriangle(diagonal: Int = 0) throws -> Tensor {
        try Tensor.make { ct_tril($0, handle, Int64(diagonal)) }
    }

    /// The combination of the rows of ``crossEntropy(_:reduction:)``.
    public enum LossReduction: Sendable {
        /// One value per row.
        case none
        /// The mean over counted rows.
        case mean
        /// The sum over counted rows.
        case sum

        var code: ct_loss_reduction {
            switch self {
            case .none: CT_LOSS_PER_ROW
            case .mean: CT_LOSS_MEAN
            case .sum: CT_LOSS_SUM
            }
        }
    }

    /// Returns the cross entropy in nats of logits [N, V] for int64 targets [N]; rows with target -100 do not count.
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
