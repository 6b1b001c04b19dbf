import RetNetTorch

/// Layers one after the other, all of one width.
public struct PlainT5Stack: T5LayerStack {
    /// The width of the layers.
    public let width: Int

    /// A stack of that width.
    public init(width: Int) { self.width = width }

    /// The width of the layers.
    public var embeddingSize: Int { width }
    /// The width of the layers.
    public var outputSize: Int { width }

    /// Feeds each layer the result of the one before.
    public func callAsFunction(_ x: Tensor, layerCount: Int, layer: Layer) throws -> Tensor {
        try (0..<layerCount).reduce(x) { try layer($1, $0, 1) }
    }
}
