import RetNetTorch

/// Everything about a forward pass that is not a parameter or an input.
public struct ForwardContext {
    /// Whether dropout is active.
    public var isTraining: Bool
    /// Where dropout draws from; needed when training with dropout.
    public var generator: Generator?
    /// Where layers put losses beside the model's own; nil where nobody wants them.
    public var auxiliaryLosses: AuxiliaryLosses?

    /// A context for inference unless said otherwise.
    public init(
        isTraining: Bool = false, generator: Generator? = nil, auxiliaryLosses: AuxiliaryLosses? = nil
    ) {
        self.isTraining = isTraining
        self.generator = generator
        self.auxiliaryLosses = auxiliaryLosses
    }

    /// Inference: no dropout.
    public static var inference: ForwardContext { ForwardContext() }
}

/// Dropout of elements and of whole rows.
public enum Dropout {
    /// Zeroes elements with a probability and scales the others up, when training.
    public static func apply(_ x: Tensor, probability: Double, _ context: ForwardContext) throws -> Tensor {
        try apply(x, maskShape: x.shape, probability, context)
    }

    /// Zeroes elements with one mask for all indices of the given axes.
    public static func apply(
        _ x: Tensor, probability: Double, sharedAxes: [Int], _ context: ForwardContext
    ) throws -> Tensor {
        var mask = x.shape
        for axis in sharedAxes where mask.indices.contains(axis) { mask[axis] = 1 }
        return try apply(x, maskShape: mask, probability, context)
    }

    /// A dropout mask of a shape, scaled to keep the mean; nil where nothing is dropped.
    public static func mask(
        _ shape: [Int], probability: Double, as type: ElementType, _ context: ForwardContext
    )
        throws -> Tensor?
    {
        guard context.isTraining, probability > 0, let generator = context.generator else { return nil }
        return try generator.bernoulli(shape, probability: 1 - probability, type) * (1 / (1 - probability))
    }

    /// Zeroes whole batch rows of x [B, ...] with a probability (stochastic depth), when training.
    public static func dropPath(_ x: Tensor, probability: Double, _ context: ForwardContext) throws -> Tensor
    {
        let mask = [x.size(0)] + [Int](repeating: 1, count: x.rank - 1)
        return try apply(x, maskShape: mask, probability, context)
    }

    private static func apply(
        _ x: Tensor, maskShape: [Int], _ probability: Double, _ context: ForwardContext
    ) throws -> Tensor {
        guard let mask = try mask(maskShape, probability: probability, as: x.elementType, context) else {
            return x
        }
        return try x * mask
    }
}
