import RetNetTorch

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

    /// The same for positions of which some are padding, by their segments; stacks that average need to know.
    func callAsFunction(_ x: Tensor, segments: T5Segments?, layerCount: Int, layer: Layer) throws -> Tensor
}

extension T5LayerStack {
    /// Every position is kept.
    public var outputStride: Int { 1 }

    /// Padding is treated like other positions.
    public func callAsFunction(
        _ x: Tensor, segments: T5Segments?, layerCount: Int, layer: Layer
    ) throws -> Tensor { try self(x, layerCount: layerCount, layer: layer) }
}
