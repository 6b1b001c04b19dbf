import RetNetLayers
import RetNetTorch

/// AltUp around the layers of a T5 encoder or decoder.
///
/// Layers count from 0 on each side. Averages (`pool`) are taken over embeddings before the first layer and leave
/// out padding.
public struct AltUpT5Stack: T5LayerStack {
    private let altUp: AltUpStack
    /// How many tokens apart the positions of the result are: more than 1 where the sequence is averaged.
    public let outputStride: Int

    /// Declares what AltUp adds to each layer, under `block.N` of the side's scope.
    public init(
        _ configuration: AltUpConfiguration, hiddenSize: Int, layerCount: Int, scope: ParameterScope
    ) throws {
        altUp = try AltUpStack(
            configuration, hiddenSize: hiddenSize, layerCount: layerCount, scope: scope,
            layerScope: { scope.scope("block.\($0)") })
        let sequence = configuration.sequence
        outputStride = sequence?.mode == .pool ? max(1, sequence?.stride ?? 1) : 1
    }

    /// The width of the embeddings: of all blocks, or of one that is recycled.
    public var embeddingSize: Int { altUp.configuration.embeddingWidth(hiddenSize: altUp.hiddenSize) }
    /// The width of the result: of all blocks, or of their reduction.
    public var outputSize: Int { altUp.configuration.outputWidth(hiddenSize: altUp.hiddenSize) }

    /// Expands, mixes around every layer, and collapses.
    public func callAsFunction(_ x: Tensor, layerCount: Int, layer: Layer) throws -> Tensor {
        try self(x, segments: nil, layerCount: layerCount, layer: layer)
    }

    /// Expands, mixes around every layer, and collapses; averages are those of positions that are no padding.
    public func callAsFunction(
        _ x: Tensor, segments: T5Segments?, layerCount: Int, layer: Layer
    ) throws -> Tensor {
        let x =
            outputStride > 1
            ? try SequenceAltUp.pooled(
                x, stride: outputStride, mask: segments?.values.to(x.elementType).clamped(0, 1)) : x
        var blocks = try altUp.expand(x)
        for index in 0..<layerCount {
            blocks = try altUp.layer(index, blocks) { try layer(index, $0, $1 * outputStride) }
        }
        return try altUp.collapse(blocks)
    }
}

extension T5Stacks {
    /// AltUp on both sides; a reduction of the sequence holds for the encoder alone, as in the paper.
    ///
    /// With the kind `standard` cross-attention reads all blocks of the encoder's output.
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

extension AltUpConfiguration {
    /// Widths outside the layers of a T5.
    public func t5Widths(hiddenSize: Int) -> T5Widths {
        let output = outputWidth(hiddenSize: hiddenSize)
        return T5Widths(
            embedding: embeddingWidth(hiddenSize: hiddenSize), encoderOutput: output, decoderOutput: output)
    }

    /// What AltUp adds to a T5 beside wider matrices, with names as in files.
    public func t5ParameterShapes(_ configuration: T5Configuration) -> [(name: String, shape: [Int])] {
        var decoding = self
        decoding.sequence = nil
        let sides = [
            ("encoder", configuration.encoderLayerCount, self),
            ("decoder", configuration.decoderLayerCount, decoding),
        ]
        return sides.flatMap { side, count, altUp in
            altUp.parameterShapes(hiddenSize: configuration.hiddenSize).map {
                ("\(side).\($0.name)", $0.shape)
            }
                + (0..<count).flatMap { layer in
                    altUp.parameterShapes(
                        layer: layer, layerCount: count, hiddenSize: configuration.hiddenSize
                    ).map { ("\(side).block.\(layer).\($0.name)", $0.shape) }
                }
        }
    }
}
