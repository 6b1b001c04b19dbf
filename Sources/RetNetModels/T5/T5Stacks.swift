import RetNetLayers

/// The stacks of encoder and decoder, made while the model declares its parameters.
public struct T5Stacks {
    /// Makes the encoder's stack; its own parameters go into the scope `encoder`.
    public var encoder: (ParameterScope) throws -> any T5LayerStack
    /// Makes the decoder's stack; its own parameters go into the scope `decoder`.
    public var decoder: (ParameterScope) throws -> any T5LayerStack

    /// Given stacks.
    public init(
        encoder: @escaping (ParameterScope) throws -> any T5LayerStack,
        decoder: @escaping (ParameterScope) throws -> any T5LayerStack
    ) {
        self.encoder = encoder
        self.decoder = decoder
    }

    /// The stacks that a configuration asks for: with AltUp where it has that, otherwise plain ones.
    public init(_ configuration: T5Configuration) {
        self =
            configuration.altUp.map { .altUp($0, configuration) } ?? .plain(width: configuration.hiddenSize)
    }

    /// Plain stacks of one width.
    public static func plain(width: Int) -> T5Stacks {
        T5Stacks(encoder: { _ in PlainT5Stack(width: width) }, decoder: { _ in PlainT5Stack(width: width) })
    }
}
