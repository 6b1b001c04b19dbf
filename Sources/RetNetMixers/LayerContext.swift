/// Where in a model a mixer stands, and how its first values are drawn.
public struct LayerContext: Sendable {
    /// D, the width of the residual stream.
    public var hiddenSize: Int
    /// The index of the layer, from 0.
    public var layer: Int
    /// The number of layers.
    public var layerCount: Int
    /// The model's say in first values.
    public var initialization: MixerInitialization
    /// How many positions of the sequence lie between two that the mixer sees: 1 unless the layer skips some.
    ///
    /// Mixers that honour it decay and rotate by positions of the sequence.
    public var positionStride: Int

    /// A place; the only layer of a model by default.
    public init(
        hiddenSize: Int, layer: Int = 0, layerCount: Int = 1, initialization: MixerInitialization = .init(),
        positionStride: Int = 1
    ) {
        self.hiddenSize = hiddenSize
        self.layer = layer
        self.layerCount = layerCount
        self.initialization = initialization
        self.positionStride = positionStride
    }
}
