import RetNetArchitecture
import RetNetLayers
import RetNetTorch

/// The way in which the layers of an encoder or a decoder are applied one after the other.
///
/// A layer is a function between hidden states of the model's width, with its norms and residual sums inside. A
/// stack decides which hidden states each layer gets and what its output contributes; the plain stack gives each
/// layer the output of the one before. The same stack serves whole sequences and single steps of decoding, whose
/// layers have caches of their own.
public protocol T5LayerStack {
    /// Applies layer `index` to x [B, T, d], whose positions are `stride` tokens apart.
    typealias Layer = (_ index: Int, _ x: Tensor, _ stride: Int) throws -> Tensor

    /// The width of the embeddings, which are the stack's input.
    var embeddingSize: Int { get }
    /// The width of the stack's output, which is the input of the final norm.
    var outputSize: Int { get }
    /// Distance in tokens between adjacent positions of the output; 1 unless the stack shortens the sequence.
    var outputStride: Int { get }

    /// Maps x [B, T, embeddingSize] → [B, ⌈T/outputStride⌉, outputSize].
    func callAsFunction(_ x: Tensor, layerCount: Int, layer: Layer) throws -> Tensor

    /// Does the same in a context, with segments by which stacks that average leave out padding.
    func callAsFunction(
        _ x: Tensor, segments: T5Segments?, layerCount: Int, _ context: ForwardContext, layer: Layer
    ) throws -> Tensor
}

extension T5LayerStack {
    /// 1: every position is kept.
    public var outputStride: Int { 1 }

    /// Ignores context and segments: padding is treated like other positions.
    public func callAsFunction(
        _ x: Tensor, segments: T5Segments?, layerCount: Int, _ context: ForwardContext, layer: Layer
    ) throws -> Tensor { try self(x, layerCount: layerCount, layer: layer) }
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

    /// Applies each layer to the output of the one before.
    public func callAsFunction(_ x: Tensor, layerCount: Int, layer: Layer) throws -> Tensor {
        try (0..<layerCount).reduce(x) { try layer($1, $0, 1) }
    }
}

/// AltUp around the layers of a T5 encoder or decoder.
///
/// Layers count from 0 on each side. Averages (`pool`) are taken over embeddings before the first layer and leave
/// out padding.
public struct AltUpT5Stack: T5LayerStack {
    private let altUp: AltUpStack
    /// Distance in tokens between adjacent positions of the output: more than 1 where the sequence is averaged.
    public let outputStride: Int

    /// Declares the parameters that AltUp adds to each layer, under `block.N` of the side's scope.
    public init(
        _ configuration: AltUpConfiguration, hiddenSize: Int, layerCount: Int, scope: ParameterScope
    ) throws {
        altUp = try AltUpStack(
            configuration, hiddenSize: hiddenSize, layerCount: layerCount, scope: scope,
            layerScope: { scope.scope("block.\($0)") })
        let sequence = configuration.sequence
        outputStride = sequence?.mode == .pool ? max(1, sequence?.stride ?? 1) : 1
    }

    /// The width of the embeddings: of all streams, or of one that is recycled.
    public var embeddingSize: Int { altUp.configuration.embeddingWidth(hiddenSize: altUp.hiddenSize) }
    /// The width of the output: of all streams, or of their reduction.
    public var outputSize: Int { altUp.configuration.outputWidth(hiddenSize: altUp.hiddenSize) }

    /// Expands, mixes around every layer, and collapses.
    public func callAsFunction(_ x: Tensor, layerCount: Int, layer: Layer) throws -> Tensor {
        try self(x, segments: nil, layerCount: layerCount, .inference, layer: layer)
    }

    /// Expands, mixes around every layer, and collapses; averages leave out padding.
    public func callAsFunction(
        _ x: Tensor, segments: T5Segments?, layerCount: Int, _ context: ForwardContext, layer: Layer
    ) throws -> Tensor {
        let x =
            outputStride > 1
            ? try SequenceAltUp.pooled(
                x, stride: outputStride, mask: segments?.values.to(x.elementType).clamped(0, 1)) : x
        var streams = try altUp.expand(x)
        for index in 0..<layerCount {
            streams = try altUp.layer(index, streams, context) {
                try layer(index, $0, $1 * outputStride)
            }
        }
        return try altUp.collapse(streams)
    }
}

/// The stacks of encoder and decoder, made while the model declares its parameters.
public struct T5Stacks {
    /// Makes the encoder's stack, with parameters of its own in the scope `encoder`.
    public var encoder: (ParameterScope) throws -> any T5LayerStack
    /// Makes the decoder's stack, with parameters of its own in the scope `decoder`.
    public var decoder: (ParameterScope) throws -> any T5LayerStack

    /// Stacks made by given functions.
    public init(
        encoder: @escaping (ParameterScope) throws -> any T5LayerStack,
        decoder: @escaping (ParameterScope) throws -> any T5LayerStack
    ) {
        self.encoder = encoder
        self.decoder = decoder
    }

    /// The stacks of a configuration: with AltUp if it has any, otherwise plain.
    public init(_ configuration: T5Configuration) {
        self =
            configuration.altUp.map { .altUp($0, configuration) } ?? .plain(width: configuration.hiddenSize)
    }

    /// Plain stacks of one width.
    public static func plain(width: Int) -> T5Stacks {
        T5Stacks(encoder: { _ in PlainT5Stack(width: width) }, decoder: { _ in PlainT5Stack(width: width) })
    }

    /// AltUp on both sides; a reduction of the sequence applies to the encoder alone, as in the paper.
    ///
    /// With the kind `standard` cross-attention reads all streams of the encoder output.
    public static func altUp(_ altUp: AltUpConfiguration, _ configuration: T5Configuration) -> T5Stacks {
        var decoding = altUp
        decoding.sequence = nil
        let decoder = decoding
        return T5Stacks(
            encoder: {
                try AltUpT5Stack(
                    altUp, hiddenSize: configuration.hiddenSize, layerCount: configuration.encoderLayerCount,
                    scope: $0)
            },
            decoder: {
                try AltUpT5Stack(
                    decoder, hiddenSize: configuration.hiddenSize,
                    layerCount: configuration.decoderLayerCount, scope: $0)
            })
    }
}

/// Widths outside the layers, which a stack of several streams may make larger than the layers.
public struct T5Widths: Sendable, Equatable {
    /// Width of the embedding.
    public var embedding: Int
    /// Width of the encoder output: its final norm, and the input of keys and values of cross-attention.
    public var encoderOutput: Int
    /// Width of the decoder's output: its final norm and the output matrix.
    public var decoderOutput: Int

    /// Given widths.
    public init(embedding: Int, encoderOutput: Int, decoderOutput: Int) {
        self.embedding = embedding
        self.encoderOutput = encoderOutput
        self.decoderOutput = decoderOutput
    }

    /// One width everywhere: that of the layers in a plain T5.
    public init(_ width: Int) {
        self.init(embedding: width, encoderOutput: width, decoderOutput: width)
    }
}

extension AltUpConfiguration {
    /// Returns the widths outside the layers of a T5.
    public func t5Widths(hiddenSize: Int) -> T5Widths {
        let output = outputWidth(hiddenSize: hiddenSize)
        return T5Widths(
            embedding: embeddingWidth(hiddenSize: hiddenSize), encoderOutput: output, decoderOutput: output)
    }
}
