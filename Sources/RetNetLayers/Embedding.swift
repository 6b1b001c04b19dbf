import RetNetTorch

/// A table with one row for each token.
public struct Embedding {
    /// [V, D].
    public let weight: Tensor

    /// Declares `weight`, without weight decay.
    public init(_ scope: ParameterScope, count: Int, size: Int, initializer: Initializer) throws {
        weight = try scope.parameter("weight", [count, size], initializer, decays: false)
    }

    /// Rows for int64 tokens of any shape, in the wanted element type.
    public func callAsFunction(_ tokens: Tensor, as type: ElementType) throws -> Tensor {
        try weight.embedding(tokens).to(type)
    }

    /// The table as an output matrix: x [..., D] → logits [..., V].
    public func logits(_ x: Tensor) throws -> Tensor {
        try x.linear(try weight.to(x.elementType))
    }
}
