import RetNetTorch

/// y = x Wᵀ + b, computed in the element type of x for parameters of any type.
public struct Linear {
    /// [out, in].
    public let weight: Tensor
    /// [out], or none.
    public let bias: Tensor?
    /// The ranks whose products are summed: those that have parts of the inputs.
    private let summing: (any RankGroup)?

    /// What each of several ranks has of a map.
    public enum Division {
        /// Some of its outputs: heads, or columns of a feed-forward.
        case outputs
        /// Some of its inputs, whose products are summed.
        case inputs
    }

    /// Declares `weight` and, optionally, `bias` (initially zeros).
    ///
    /// `isHiddenMap` is false for the output matrix of a model, which has a row per token. Where ranks have parts of the layers,
    /// this one has its part as `dividing` says, or all; sizes are those of the whole.
    public init(
        _ scope: ParameterScope, from inputSize: Int, to outputSize: Int, bias: Bool,
        initializer: Initializer,
        isHiddenMap: Bool = true, dividing division: Division? = nil
    ) throws {
        weight = try scope.parameter(
            "weight", [outputSize, inputSize], initializer, isHiddenMap: isHiddenMap,
            dividedAlong: division.map { $0 == .outputs ? 0 : 1 })
        self.bias =
            bias
            ? try scope.parameter(
                "bias", [outputSize], .constant(0), dividedAlong: division == .outputs ? 0 : nil) : nil
        summing = division == .inputs ? scope.group : nil
    }

    /// Maps x [..., in] → [..., out].
    public func callAsFunction(_ x: Tensor) throws -> Tensor {
        guard let summing else {
            return try x.linear(try weight.to(x.elementType), bias: try bias?.to(x.elementType))
        }
        let sum = try summing.leaving(x.linear(weight.to(x.elementType)))
        return try bias.map { try sum + $0.to(x.elementType) } ?? sum
    }
}

/// A table with one row per token.
public struct Embedding {
    /// [V, D].
    public let weight: Tensor
    /// The ranks that have some of the rows each; nil for all rows.
    private let group: (any RankGroup)?

    /// Declares `weight`, without weight decay; with `dividesRows`, ranks that have parts of the layers have some rows each.
    public init(
        _ scope: ParameterScope, count: Int, size: Int, initializer: Initializer, dividesRows: Bool = false
    ) throws {
        weight = try scope.parameter(
            "weight", [count, size], initializer, decays: false, dividedAlong: dividesRows ? 0 : nil)
        group = dividesRows ? scope.group : nil
    }

    /// Returns the rows of int64 tokens of any shape, in the given element type, times a scale.
    public func callAsFunction(_ tokens: Tensor, as type: ElementType, scale: Double = 1) throws -> Tensor {
        guard let group else { return try FusedOperators.embedding(weight, tokens, scale: scale, as: type) }
        // Rows of other ranks are zeros here, and the sum adds nothing to the one that has the row.
        let ids = try tokens.contiguous().values(as: Int64.self)
        let own = group.part(of: group.count * weight.size(0))
        let places = ids.map { own.contains(Int($0)) ? $0 - Int64(own.lowerBound) : 0 }
        let isOwn = try Tensor.from(ids.map { own.contains(Int($0)) ? Float(1) : 0 }, tokens.shape + [1])
        let rows = try FusedOperators.embedding(
            weight, Tensor.from(places, tokens.shape), scale: scale, as: type)
        return try group.leaving(rows * isOwn.to(type))
    }

    /// Applies the table as an output matrix: x [..., D] → logits [..., V], of the rows that this rank has.
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
