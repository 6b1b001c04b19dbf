import RetNetTorch

/// A norm over the last axis: RMS or layer, with or without trained weight (and, for layer norm, bias).
public struct Norm {
    /// The kind of statistics.
    public let kind: FusedOperators.NormKind
    /// Added to the mean square or variance.
    public let epsilon: Double
    /// [D], or none.
    public let weight: Tensor?
    /// [D], or none.
    public let bias: Tensor?

    /// Declares `weight` (ones) and, for an affine layer norm, `bias` (zeros).
    public init(
        _ scope: ParameterScope, size: Int, kind: FusedOperators.NormKind, epsilon: Double, affine: Bool
    )
        throws
    {
        self.kind = kind
        self.epsilon = epsilon
        weight = affine ? try scope.parameter("weight", [size], .constant(1)) : nil
        bias = affine && kind == .layer ? try scope.parameter("bias", [size], .constant(0)) : nil
    }

    /// x [..., D] → the same shape and type; statistics in float32 or wider.
    public func callAsFunction(_ x: Tensor) throws -> Tensor {
        switch kind {
        case .rms:
            return try FusedOperators.rmsNorm(x, weight: weight, epsilon: epsilon)
        case .layer:
            return try x.layerNorm(
                weight: try weight?.to(x.elementType), bias: try bias?.to(x.elementType), epsilon: epsilon)
        }
    }
}
