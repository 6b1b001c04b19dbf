/// Where in a model a mixer stands, and how its first values are drawn.
public struct MixerPlace: Sendable {
    /// D, the width of the residual stream.
    public var hiddenSize: Int
    /// The index of the layer, from 0.
    public var layer: Int
    /// The number of layers.
    public var layerCount: Int
    /// The model's say in first values.
    public var initialization: MixerInitialization

    /// A place; the only layer of a model by default.
    public init(
        hiddenSize: Int, layer: Int = 0, layerCount: Int = 1, initialization: MixerInitialization = .init()
    ) {
        self.hiddenSize = hiddenSize
        self.layer = layer
        self.layerCount = layerCount
        self.initialization = initialization
    }
}
