import RetNetTorch

/// y = x Wᵀ + b, computed in the element type of x for parameters of any type.
public struct Linear {
    /// [out, in].
    public let weight: Tensor
    /// [out], or none.
    public let bias: Tensor?

    /// Declares `weight` and, optionally, `bias` (initially zeros).
    ///
    /// `isHiddenMap` is false for the output matrix of a model, which has a row per token.
    public init(
        _ scope: ParameterScope, from inputSize: Int, to outputSize: Int, bias: Bool,
        initializer: Initializer,
        isHiddenMap: Bool = true
    ) throws {
        weight = try scope.parameter(
            "weight", [outputSize, inputSize], initializer, isHiddenMap: isHiddenMap)
        self.bias = bias ? try scope.parameter("bias", [outputSize], .constant(0)) : nil
    }

    /// Maps x [..., in] → [..., out].
    public func callAsFunction(_ x: Tensor) throws -> Tensor {
        try x.linear(try weight.to(x.elementType), bias: try bias?.to(x.elementType))
    }
}

/// A table with one row per token.
public struct Embedding {
    /// [V, D].
    public let weight: Tensor

    /// Declares `weight`, without weight decay.
    public init(_ scope: ParameterScope, count: Int, size: Int, initializer: Initializer) throws {
        weight = try scope.parameter("weight", [count, size], initializer, decays: false)
    }

    /// Returns the rows of int64 tokens of any shape, in the given element type, times a scale.
    public func callAsFunction(_ tokens: Tensor, as type: ElementType, scale: Double = 1) throws -> Tensor {
        try FusedOperators.embedding(weight, tokens, scale: scale, as: type)
    }

    /// Applies the table as an output matrix: x [..., D] → logits [..., V].
    public func logits(_ x: Tensor) throws -> Tensor {
        try x.linear(try weight.to(x.elementType))
    }
}

/// A norm over the last axis: RMS or layer, with or without trained weight (and, for layer norm, bias).
public struct Norm {
    /// The statistics of the norm.
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

    /// Normalizes x [..., D] → the same shape and type; statistics in float32 or wider.
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
