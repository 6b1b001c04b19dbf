import RetNetTorch

/// A name prefix within a ``ParameterStore``; layers declare their parameters in one.
public struct ParameterScope {
    let store: ParameterStore
    let prefix: String

    /// The scope for a part of this layer.
    public func scope(_ name: String) -> ParameterScope {
        ParameterScope(store: store, prefix: prefix + name + ".")
    }

    /// Declares a parameter and returns its values.
    ///
    /// The initializer is only evaluated by a store that draws initial values. Weight decay applies if `decays`, by
    /// default to everything with two or more axes. Parameters that drive exponentials of the whole sequence may
    /// have a `maximumLearningRate`.
    public func parameter(
        _ name: String, _ shape: [Int], _ initializer: @autoclosure () throws -> Initializer,
        decays: Bool? = nil, maximumLearningRate: Double? = nil
    ) throws -> Tensor {
        try store.declare(
            prefix + name, shape: shape, initializer: initializer, decays: decays ?? (shape.count > 1),
            maximumLearningRate: maximumLearningRate)
    }

    /// The element type of the store's parameters.
    public var elementType: ElementType { store.elementType }
    /// The device of the store's parameters.
    public var device: Device { store.device }
}
