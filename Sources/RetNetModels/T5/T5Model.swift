import Foundation
import RetNetArchitecture
import RetNetLayers
import RetNetTorch

/// A T5 encoder-decoder (Raffel et al., arXiv 1910.10683).
///
///     encoded = Norm(EncoderLayers(E[source]))     hidden = Norm(DecoderLayers(E[shifted target], encoded))
///     logits = hidden · d^(-1/2) · Eᵀ (v1.0)  or  hidden · Wᵀ (v1.1)
///
/// Parameters have the names of Hugging Face's checkpoints. The layers of both sides run inside a ``T5LayerStack``,
/// which may widen the hidden states between and around them.
public final class T5Model {
    /// The architecture.
    public let configuration: T5Configuration
    /// All parameters by name.
    public let parameters: ParameterStore
    /// The element type of all computation but the residual stream, independent of that of the parameters.
    public var computeType: ElementType
    /// Largest number of logits that a loss holds at once; beyond it they are computed in slices, and once more
    /// in the backward pass.
    public var logitBudget = 1 << 26
    /// The stack that applies the layers of the encoder.
    public let encoderStack: any T5LayerStack
    /// The stack that applies the layers of the decoder.
    public let decoderStack: any T5LayerStack

    let embedding: Tensor
    let encoderLayers: [T5EncoderLayer]
    let decoderLayers: [T5DecoderLayer]
    private let encoderNorm: Tensor
    private let decoderNorm: Tensor
    private let output: Tensor?
    private let residual: T5ResidualNorm
    private let encoderPositions: T5PositionTable
    private let decoderPositions: T5PositionTable

    /// Declares all parameters in the store and validates the configuration.
    ///
    /// `stacks` are those of the configuration by default. Throws `SettingsError`, ``T5Error`` and `TorchError`.
    public init(
        _ configuration: T5Configuration, parameters: ParameterStore, computeType: ElementType,
        stacks: T5Stacks? = nil
    ) throws {
        try configuration.validate()
        let c = configuration
        let root = parameters.root
        let stacks = stacks ?? T5Stacks(c)
        encoderStack = try stacks.encoder(root.scope("encoder"))
        decoderStack = try stacks.decoder(root.scope("decoder"))
        let widths = T5Widths(
            embedding: encoderStack.embeddingSize, encoderOutput: encoderStack.outputSize,
            decoderOutput: decoderStack.outputSize)
        guard decoderStack.embeddingSize == widths.embedding else {
            throw T5Error.embeddingSizes(encoder: widths.embedding, decoder: decoderStack.embeddingSize)
        }
        guard !c.tiedOutput || widths.decoderOutput == widths.embedding else {
            throw T5Error.embeddingSizes(encoder: widths.embedding, decoder: widths.decoderOutput)
        }
        let initializers = T5Initializers(c, headWidth: widths.decoderOutput)
        embedding = try root.scope("shared").parameter(
            "weight", [c.vocabularySize, widths.embedding], initializers.embedding, decays: false)
        encoderLayers = try (0..<c.encoderLayerCount).map {
            try T5EncoderLayer(root.scope("encoder.block.\($0)"), c, layer: $0)
        }
        encoderNorm = try T5ResidualNorm.norm(
            root.scope("encoder"), widths.encoderOutput, name: "final_layer_norm")
        decoderLayers = try (0..<c.decoderLayerCount).map {
            try T5DecoderLayer(
                root.scope("decoder.block.\($0)"), c, sourceSize: widths.encoderOutput, layer: $0)
        }
        decoderNorm = try T5ResidualNorm.norm(
            root.scope("decoder"), widths.decoderOutput, name: "final_layer_norm")
        output =
            c.tiedOutput
            ? nil
            : try root.scope("lm_head").parameter(
                "weight", [c.vocabularySize, widths.decoderOutput], initializers.head)
        guard let own = encoderLayers.first?.positions, let other = decoderLayers.first?.positions else {
            throw T5Error.emptyBatch
        }
        encoderPositions = own
        decoderPositions = other
        residual = T5ResidualNorm(c)
        self.configuration = configuration
        self.parameters = parameters
        self.computeType = computeType
    }

    /// The device of the parameters.
    public var device: Device { parameters.device }
    /// Widths outside the layers.
    public var widths: T5Widths {
        T5Widths(
            embedding: encoderStack.embeddingSize, encoderOutput: encoderStack.outputSize,
            decoderOutput: decoderStack.outputSize)
    }
    /// The element type of the residual stream: wide enough that deep stacks keep the contribution of each layer.
    public var streamType: ElementType { computeType.accumulator }

    // MARK: Whole sequences

    /// Encodes int64 tokens [B, T].
    public func encode(
        _ tokens: Tensor, segments: T5Segments? = nil, context: ForwardContext = .inference
    ) throws -> T5EncoderOutput {
        let x = try embedded(tokens, segments, "sources", context)
        let pass = pass(
            T5PositionBias(encoderPositions, as: streamType), segments: segments, encoderOutput: nil, context)
        let y = try encoderStack(x, segments: segments, layerCount: encoderLayers.count, context) {
            try encoderLayers[$0]($1, stride: $2, pass)
        }
        let hidden = try residual.dropped(residual.norm(y, encoderNorm, pass).normed, context)
        let stride = encoderStack.outputStride
        return T5EncoderOutput(
            hidden: hidden,
            segments: stride > 1 ? try segments.map { try T5Segments($0.every(stride)) } : segments)
    }

    /// Returns the decoder's hidden states [B, T, decoder output width] after the final norm.
    ///
    /// `tokens` are its inputs, int64 [B, T]: the targets shifted right by one.
    public func decode(
        _ tokens: Tensor, encoderOutput: T5EncoderOutput, segments: T5Segments? = nil,
        context: ForwardContext = .inference
    ) throws -> Tensor {
        let x = try embedded(tokens, segments, "decoder inputs", context)
        guard encoderOutput.hidden.size(0) == tokens.size(0) else {
            throw T5Error.countMismatch(
                what: "rows of the encoder output", expected: tokens.size(0),
                found: encoderOutput.hidden.size(0))
        }
        let bias = T5PositionBias(decoderPositions, as: streamType)
        let pass = pass(bias, segments: segments, encoderOutput: encoderOutput, context)
        let y = try decoderStack(x, segments: nil, layerCount: decoderLayers.count, context) {
            try decoderLayers[$0]($1, stride: $2, pass)
        }
        return try finished(y, pass)
    }

    /// Returns the logits [B, Tt, V] of a batch.
    public func callAsFunction(_ batch: T5Batch, context: ForwardContext = .inference) throws -> Tensor {
        try logits(hidden(batch, context: context))
    }

    /// Returns the decoder's hidden states of a batch.
    public func hidden(_ batch: T5Batch, context: ForwardContext = .inference) throws -> Tensor {
        let encoded = try encode(batch.source, segments: batch.sourceSegments, context: context)
        return try decode(
            batch.decoderInput, encoderOutput: encoded, segments: batch.targetSegments, context: context)
    }

    /// Returns the logits [..., V] of hidden states from ``decode(_:encoderOutput:segments:context:)``.
    public func logits(_ hidden: Tensor) throws -> Tensor {
        try hidden.linear(try outputMatrix(hidden.elementType))
    }

    // MARK: Common parts

    /// Returns the output matrix in an element type: the embedding where the output is tied.
    func outputMatrix(_ type: ElementType) throws -> Tensor { try outputParameter.to(type) }

    /// The output matrix as it is stored.
    var outputParameter: Tensor { output ?? embedding }

    /// Returns the hidden states after the decoder's final norm and dropout, scaled for a tied output.
    func finished(_ y: Tensor, _ pass: T5ForwardPass) throws -> Tensor {
        let hidden = try residual.dropped(residual.norm(y, decoderNorm, pass).normed, pass.context)
        guard configuration.scaledOutput else { return hidden }
        return try hidden * (1 / Double(decoderStack.outputSize).squareRoot())
    }

    /// Returns the embeddings [B, T, embedding width] in the type of the residual stream.
    func embedded(_ tokens: Tensor, _ segments: T5Segments?, _ what: String, _ context: ForwardContext) throws
        -> Tensor
    {
        guard tokens.rank == 2 else {
            throw T5Error.wrongShape(what: what, expected: "[B, T]", found: tokens.shape)
        }
        guard tokens.elementCount > 0 else { throw T5Error.emptyBatch }
        if let segments, segments.values.shape != tokens.shape {
            throw T5Error.wrongShape(
                what: "segments of \(what)", expected: "\(tokens.shape)", found: segments.values.shape)
        }
        return try residual.dropped(embedding.embedding(tokens).to(streamType), context)
    }

    func pass(
        _ bias: T5PositionBias, segments: T5Segments?, encoderOutput: T5EncoderOutput?,
        _ context: ForwardContext
    ) -> T5ForwardPass {
        T5ForwardPass(
            bias: bias, segments: segments, encoderOutput: encoderOutput, context: context,
            computeType: computeType)
    }

    /// Returns the decoder's position biases, for single steps.
    func decoderBias() -> T5PositionBias { T5PositionBias(decoderPositions, as: streamType) }
}

/// The output of the encoder, which the decoder's cross-attention reads.
public struct T5EncoderOutput {
    /// Hidden states after the final norm, [B, T, encoder output width], in the compute type.
    public let hidden: Tensor
    /// Segments of the positions; nil where all positions of a row belong together and none is padding.
    public let segments: T5Segments?

    /// Output of given parts.
    public init(hidden: Tensor, segments: T5Segments?) {
        self.hidden = hidden
        self.segments = segments
    }

    /// Returns the given rows, in that order; rows may repeat.
    public func selecting(rows: [Int]) throws -> T5EncoderOutput {
        let indices = try Tensor.from(rows.map(Int64.init), on: hidden.device)
        return T5EncoderOutput(
            hidden: try hidden.indexSelected(0, indices),
            segments: try segments.map { try T5Segments($0.values.indexSelected(0, indices)) })
    }
}

/// Initial values of T5's parameters, as T5X draws them.
///
/// The head of v1.1 has the variance 1/d: with Hugging Face's N(0, 1) the first losses are near 60.
struct T5Initializers {
    let embedding = Initializer.normal(standardDeviation: 1)
    let query: Initializer
    let output: Initializer
    let positions: Initializer
    let head: Initializer

    init(_ c: T5Configuration, headWidth: Int? = nil) {
        // Scores are not scaled by d_kv^(-1/2); the first queries are.
        query = .normal(standardDeviation: pow(Double(c.hiddenSize) * Double(c.keySize), -0.5))
        output = .normal(standardDeviation: pow(Double(c.attentionSize), -0.5))
        // Variance-scaling over the mean of fan-in and fan-out.
        let bound = (3 * 2 / Double(c.headCount + c.bucketCount)).squareRoot()
        positions = .uniform(from: -bound, to: bound)
        head = .truncatedNormal(standardDeviation: pow(Double(headWidth ?? c.hiddenSize), -0.5))
    }

    /// Matrices of keys and values with inputs of a given width.
    func keyValue(inputSize: Int) -> Initializer {
        .normal(standardDeviation: pow(Double(inputSize), -0.5))
    }

    /// A matrix of the feed-forward with inputs of a given width.
    func feedForward(inputSize: Int) -> Initializer {
        .truncatedNormal(standardDeviation: pow(Double(inputSize), -0.5))
    }
}
