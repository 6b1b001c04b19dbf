import RetNetLayers
import RetNetMixers
import RetNetTorch

/// A decoder-only language model over any token mixer.
///
///     X⁰ = Embedding(tokens)        Xˡ = Blockˡ(Xˡ⁻¹), l = 1 … L        logits = Norm(Xᴸ) W_outᵀ
///
/// B batch, T time, D model width, V vocabulary. A pass takes a state and returns the state after its last
/// token, in every form; feeding a sequence whole, in pieces or token by token gives the same logits.
public final class LanguageModel {
    /// The architecture.
    public let configuration: LanguageModelConfiguration
    /// All parameters by name.
    public let parameters: ParameterStore
    /// The element type that passes compute in, whatever the type of the parameters.
    public var computeType: ElementType
    /// Whether blocks keep only their inputs for the backward pass and compute everything else again.
    public var recomputesActivations = false

    private let embedding: Embedding
    private let embeddingNorm: Norm?
    let stack: BlockStack
    private var blocks: [any Block] { stack.blocks }
    private let finalNorm: Norm?
    private let output: Linear?
    private let embeddingScale: Double

    /// Declares all parameters in the store and validates the configuration.
    public init(
        _ configuration: LanguageModelConfiguration, parameters: ParameterStore, computeType: ElementType
    )
        throws
    {
        try configuration.validate()
        let c = configuration
        let initializers = ModelInitializers(c)
        let root = parameters.root
        embedding = try Embedding(
            root.scope("embedding"), count: c.vocabularySize, size: c.embeddingWidth,
            initializer: initializers.embedding)
        embeddingNorm =
            c.embeddingNorm ? try Norm(root.scope("embedding_norm"), size: c.embeddingWidth, c.norm) : nil
        stack = try BlockStack(root, c, initializers)
        finalNorm = c.finalNorm ? try Norm(root.scope("final_norm"), size: c.outputWidth, c.norm) : nil
        output =
            c.tiedOutput
            ? nil
            : try Linear(
                root.scope("output"), from: c.outputWidth, to: c.vocabularySize, bias: false,
                initializer: initializers.output)
        embeddingScale = c.embeddingScale.factor(hiddenSize: c.hiddenSize)
        self.configuration = configuration
        self.parameters = parameters
        self.computeType = computeType
    }

    /// The device that the parameters live on.
    public var device: Device { parameters.device }

    /// Why the model cannot run in a form, or nil when every layer can.
    public func unsupportedReason(for form: MixerForm) -> String? {
        blocks.lazy.compactMap { $0.unsupportedReason(for: form) }.first
    }

    // MARK: Forward

    /// Hidden states [B, T, D] after the final norm for int64 tokens [B, T], and the state after the last one.
    public func hidden(
        _ tokens: Tensor, state: LanguageModelState? = nil, form: MixerForm,
        context: ForwardContext = .inference
    ) throws -> (hidden: Tensor, state: LanguageModelState) {
        let (batch, time) = (tokens.size(0), tokens.size(1))
        guard time > 0, batch > 0 else { throw MixerError.emptySequence }
        if let state, state.batchSize != batch {
            throw MixerError.wrongBatch(expected: batch, found: state.batchSize)
        }
        if let state, state.layers.count != blocks.count {
            throw MixerError.wrongState(expected: "\(blocks.count) layers", found: "\(state.layers.count)")
        }
        let positions = state?.positions ?? [SequencePosition](repeating: SequencePosition(), count: batch)
        let pass = ForwardPass(form: form, positions: positions, context: context)
        let embedded = try embed(tokens, positions, context)
        let (output, layers) = try stack(
            embedded, states: state?.layers, pass, recomputes: recomputesActivations)
        let x = try finalNorm?(output) ?? output
        return (x, LanguageModelState(layers: layers, positions: positions.map { $0.advanced(by: time) }))
    }

    /// Logits [B, T, V] (or [B, 1, V] of the last token only) and the state after the last token.
    public func callAsFunction(
        _ tokens: Tensor, state: LanguageModelState? = nil, form: MixerForm, lastOnly: Bool = false,
        context: ForwardContext = .inference
    ) throws -> (logits: Tensor, state: LanguageModelState) {
        let (x, next) = try hidden(tokens, state: state, form: form, context: context)
        let rows = lastOnly ? try x.sliced(1, x.size(1) - 1..<x.size(1)) : x
        return (try logits(rows), next)
    }

    /// Logits [..., V] of hidden states [..., D].
    public func logits(_ hidden: Tensor) throws -> Tensor {
        if let output { return try output(hidden) }
        // A tied table of width K d counts K times as much as one of width d.
        let ratio = Double(configuration.outputWidth) / Double(configuration.hiddenSize)
        return try embedding.logits(ratio == 1 ? hidden : hidden * (1 / ratio.squareRoot()))
    }

    private func embed(_ tokens: Tensor, _ positions: [SequencePosition], _ context: ForwardContext) throws
        -> Tensor
    {
        var x = try embedding(tokens, as: computeType)
        if embeddingScale != 1 { x = try x * embeddingScale }
        if configuration.positionEmbedding == .sinusoidal {
            let waves = try SinusoidalPositions.table(
                size: configuration.hiddenSize, starts: positions.map(\.position), length: tokens.size(1),
                like: x)
            x = try x + waves
        }
        if let embeddingNorm { x = try embeddingNorm(x) }
        return try Dropout.apply(x, probability: configuration.dropout.embedding, context)
    }

    // MARK: State

    /// The state before the first token, for a batch.
    public func initialState(batch: Int) throws -> LanguageModelState {
        LanguageModelState(
            layers: try blocks.map {
                try $0.initialState(batch: batch, elementType: computeType, device: device)
            },
            positions: [SequencePosition](repeating: SequencePosition(), count: batch))
    }

    /// The state with every row's position moved to 0 and identical outputs afterwards.
    ///
    /// Angles of rotation stay small however long a conversation runs, and states of different origin can be
    /// batched. Token counts, which the normalisers use, are kept.
    public func rebased(_ state: LanguageModelState) throws -> LanguageModelState {
        let offsets = state.positions.map(\.position)
        guard configuration.positionEmbedding == .none || offsets.allSatisfy({ $0 == 0 }) else {
            throw MixerError.cannotRebase(reason: "the model adds absolute positions to its embeddings")
        }
        guard state.layers.count == blocks.count else {
            throw MixerError.wrongState(expected: "\(blocks.count) layers", found: "\(state.layers.count)")
        }
        return LanguageModelState(
            layers: try zip(blocks, state.layers).map { try $0.rebased($1, from: state.positions) },
            positions: state.positions.map { SequencePosition(position: 0, count: $0.count) })
    }

    /// One state with the rows of several, in the order given; at least one state is needed.
    ///
    /// Tensors that grow with the tokens seen are padded with zeros to the longest.
    public func joined(_ states: [LanguageModelState]) throws -> LanguageModelState {
        guard let first = states.first else { throw MixerError.emptySequence }
        guard states.count > 1 else { return first }
        for state in states where state.layers.count != blocks.count {
            throw MixerError.wrongState(expected: "\(blocks.count) layers", found: "\(state.layers.count)")
        }
        let layers = try blocks.indices.map { layer in
            try StateRows.joined(states.map { $0.layers[layer] })
        }
        return try state(from: layers, positions: states.flatMap(\.positions))
    }

    /// A state read back from saved tensors, one dictionary a layer.
    public func state(from layers: [[String: Tensor]], positions: [SequencePosition]) throws
        -> LanguageModelState
    {
        guard layers.count == blocks.count else {
            throw MixerError.wrongState(expected: "\(blocks.count) layers", found: "\(layers.count)")
        }
        let states = try zip(blocks, layers).map { try $0.state(from: $1) }
        for state in states {
            for (_, tensor) in state.tensors where tensor.size(0) != positions.count {
                throw MixerError.wrongBatch(expected: positions.count, found: tensor.size(0))
            }
        }
        return LanguageModelState(layers: states, positions: positions)
    }
}
