import Layers
import Torch

/// How the layers of an encoder or a decoder are applied one after the other.
///
/// A layer is a function from hidden states of the model's width to hidden states of that width, with its norms and
/// residual sums inside. A stack decides which hidden states each layer sees and what becomes of its result; the
/// plain one just feeds each layer the result of the one before. The same stack serves whole sequences and single
/// steps of decoding, whose layers keep their own caches.
public protocol T5LayerStack {
    /// Applies layer `index` to x [B, T, d], whose positions are `stride` tokens apart.
    typealias Layer = (_ index: Int, _ x: Tensor, _ stride: Int) throws -> Tensor

    /// The width of the embeddings that the stack takes.
    var embeddingSize: Int { get }
    /// The width of what it returns to the final norm.
    var outputSize: Int { get }
    /// How many tokens apart the positions of the result are; 1 unless the stack shortens the sequence.
    var outputStride: Int { get }

    /// x [B, T, embeddingSize] → [B, ⌈T/outputStride⌉, outputSize].
    func callAsFunction(_ x: Tensor, layerCount: Int, layer: Layer) throws -> Tensor
}

extension T5LayerStack {
    /// Every position is kept.
    public var outputStride: Int { 1 }
}

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

    /// Plain stacks of one width.
    public static func plain(width: Int) -> T5Stacks {
        T5Stacks(encoder: { _ in PlainT5Stack(width: width) }, decoder: { _ in PlainT5Stack(width: width) })
    }
}
