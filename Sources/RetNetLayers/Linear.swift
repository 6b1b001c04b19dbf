import RetNetTorch

/// y = x Wᵀ + b, computed in the element type of x whatever the type of the parameters.
public struct Linear {
    /// [out, in].
    public let weight: Tensor
    /// [out], or none.
    public let bias: Tensor?

    /// Declares `weight` and, where wanted, `bias` (zeros at first).
    public init(
        _ scope: ParameterScope, from inputSize: Int, to outputSize: Int, bias: Bool, initializer: Initializer
    ) throws {
        weight = try scope.parameter("weight", [outputSize, inputSize], initializer)
        self.bias = bias ? try scope.parameter("bias", [outputSize], .constant(0)) : nil
    }

    /// x [..., in] → [..., out].
    public func callAsFunction(_ x: Tensor) throws -> Tensor {
        try x.linear(try weight.to(x.elementType), bias: try bias?.to(x.elementType))
    }
}
