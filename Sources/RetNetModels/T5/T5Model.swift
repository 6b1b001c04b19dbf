import RetNetLayers
import RetNetTorch

/// A T5 encoder-decoder.
///
///     memory = Norm(EncoderLayers(E[source]))      hidden = Norm(DecoderLayers(E[shifted target], memory))
///     logits = hidden · d^(-1/2) · Eᵀ (v1.0)  or  hidden · Wᵀ (v1.1)
///
/// Parameters have the names of Hugging Face's checkpoints. The layers of both sides run inside a ``T5LayerStack``,
/// which may widen what lies between and around them.
public final class T5Model {
    /// The architecture.
    public let configuration: T5Configuration
    /// All parameters by name.
    public let parameters: ParameterStore
    /// The element type of everything but the residual stream, whatever the type of the parameters.
    public var computeType: ElementType
    /// How many logits a loss holds at once; more are computed in slices, and again in the backward pass.
    public var logitBudget = 1 << 26
    /// How the layers of the encoder are applied.
    public let encoderStack: any T5LayerStack
    /// How the layers of the decoder are applied.
    public let decoderStack: any T5LayerStack

    let embedding: Tensor
    let encoderLayers: [T5EncoderLayer]
    let decoderLayers: [T5DecoderLayer]
    private let encoderNorm: Tensor
    private let decoderNorm: Tensor
    private let output: Tensor?
    private let branches: T5ResidualNorm
    private let encoderPositions: T5PositionTable
    private let decoderPositions: T5PositionTable

    /// Declares all parameters in the store and validates the configuration.
    ///
    /// `stacks` are those of the configuration unless given. Throws `SettingsError`, ``T5Error`` and `TorchError`.
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
                root.scope("decoder.block.\($0)"), c, memorySize: widths.encoderOutput, layer: $0)
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
        branches = T5ResidualNorm(c)
        self.configuration = configuration
        self.parameters = parameters
        self.computeType = computeType
    }

    /// The device that the parameters live on.
    public var device: Device { parameters.device }
    /// Widths outside the layers.
    public var widths: T5Widths {
        T5Widths(
            embedding: encoderStack.embeddingSize, encoderOutput: encoderStack.outputSize,
            decoderOutput: decoderStack.outputSize)
    }
    /// The element type of the residual stream: wide enough that deep stacks keep what a layer adds.
    public var streamType: ElementType { computeType.accumulator }

    // MARK: Whole sequences

    /// The encoder's result for int64 tokens [B, T].
    public func encode(
        _ tokens: Tensor, segments: T5Segments? = nil, context: ForwardContext = .inference
    ) throws -> T5Memory {
        let x = try embedded(tokens, segments, "sources", context)
        let pass = pass(
            T5PositionBias(encoderPositions, as: streamType), segments: segments, memory: nil, context)
        let y = try encoderStack(x, segments: segments, layerCount: encoderLayers.count) { index, x, stride in
            try encoderLayers[index](x, stride: stride, pass)
        }
        let hidden = try branches.dropped(branches.norm(y, encoderNorm, pass).normed, context)
        let stride = encoderStack.outputStride
        return T5Memory(
            hidden: hidden,
            segments: stride > 1 ? try segments.map { try T5Segments($0.every(stride)) } : segments)
    }

    /// Hidden states [B, T, decoder output width] after the final norm for the int64 tokens [B, T] it reads.
    public func decode(
        _ tokens: Tensor, memory: T5Memory, segments: T5Segments? = nil, context: ForwardContext = .inference
    ) throws -> Tensor {
        let x = try embedded(tokens, segments, "decoder inputs", context)
        guard memory.hidden.size(0) == tokens.size(0) else {
            throw T5Error.countMismatch(
                what: "rows of the memory", expected: tokens.size(0), found: memory.hidden.size(0))
        }
        let bias = T5PositionBias(decoderPositions, as: streamType)
        let pass = pass(bias, segments: segments, memory: memory, context)
        let y = try decoderStack(x, layerCount: decoderLayers.count) { index, x, stride in
            try decoderLayers[index](x, stride: stride, pass)
        }
        return try finished(y, pass)
    }

    /// Logits [B, Tt, V] of a batch.
    public func callAsFunction(_ batch: T5Batch, context: ForwardContext = .inference) throws -> Tensor {
        try logits(hidden(batch, context: context))
    }

    /// The decoder's hidden states of a batch.
    public func hidden(_ batch: T5Batch, context: ForwardContext = .inference) throws -> Tensor {
        let memory = try encode(batch.source, segments: batch.sourceSegments, context: context)
        return try decode(
            batch.decoderInput, memory: memory, segments: batch.targetSegments, context: context)
    }

    /// Logits [..., V] of hidden states from ``decode(_:memory:segments:context:)``.
    public func logits(_ hidden: Tensor) throws -> Tensor {
        try hidden.linear(try outputMatrix(hidden.elementType))
    }

    // MARK: Common parts

    /// The matrix that makes logits, in an element type.
    func outputMatrix(_ type: ElementType) throws -> Tensor { try (output ?? embedding).to(type) }

    /// The final norm of the decoder with its dropout, scaled for a tied output.
    func finished(_ y: Tensor, _ pass: T5ForwardPass) throws -> Tensor {
        let hidden = try branches.dropped(branches.norm(y, decoderNorm, pass).normed, pass.context)
        guard configuration.scaledOutput else { return hidden }
        return try hidden * (1 / Double(decoderStack.outputSize).squareRoot())
    }

    /// Embeddings [B, T, embedding width] in the type of the residual stream.
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
        return try branches.dropped(embedding.embedding(tokens).to(streamType), context)
    }

    func pass(
        _ bias: T5PositionBias, segments: T5Segments?, memory: T5Memory?, _ context: ForwardContext
    ) -> T5ForwardPass {
        T5ForwardPass(
            bias: bias, segments: segments, memory: memory, context: context, computeType: computeType)
    }

    /// The decoder's biases for steps.
    func decoderBias() -> T5PositionBias { T5PositionBias(decoderPositions, as: streamType) }
}
