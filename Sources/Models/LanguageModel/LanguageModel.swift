import Layers
import Mixers
import Torch

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
    let blocks: [MixerBlock]
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
            root.scope("embedding"), count: c.vocabularySize, size: c.hiddenSize,
            initializer: initializers.embedding)
        embeddingNorm =
            c.embeddingNorm ? try Norm(root.scope("embedding_norm"), size: c.hiddenSize, c.norm) : nil
        blocks = try (0..<c.layerCount).map {
            try MixerBlock(root.scope("layers.\($0)"), c, layer: $0, initializers)
        }
        finalNorm = c.finalNorm ? try Norm(root.scope("final_norm"), size: c.hiddenSize, c.norm) : nil
        output =
            c.tiedOutput
            ? nil
            : try Linear(
                root.scope("output"), from: c.hiddenSize, to: c.vocabularySize, bias: false,
                initializer: initializers.embedding)
        embeddingScale = c.embeddingScale.factor(hiddenSize: c.hiddenSize)
        self.configuration = configuration
        self.parameters = parameters
        self.computeType = computeType
    }

    /// The device that the parameters live on.
    public var device: Device { parameters.device }

    /// Why the model cannot run in a form, or nil when every layer can.
    public func obstacle(to form: MixerForm) -> String? {
        blocks.lazy.compactMap { $0.mixer.obstacle(to: form) }.first
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
        let call = MixerCall(form: form, positions: positions, context: context)
        var x = try embed(tokens, positions, context)
        var layers: [any MixerState] = []
        layers.reserveCapacity(blocks.count)
        for (index, block) in blocks.enumerated() {
            let (y, next) = try run(block, x, state?.layers[index], call)
            x = y
            layers.append(next)
        }
        if let finalNorm { x = try finalNorm(x) }
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
        try output.map { try $0(hidden) } ?? embedding.logits(hidden)
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

    private func run(_ block: MixerBlock, _ x: Tensor, _ state: (any MixerState)?, _ call: MixerCall) throws
        -> (output: Tensor, state: any MixerState)
    {
        guard recomputesActivations, gradientsAreEnabled, x.requiresGradient else {
            return try block(x, state: state, call)
        }
        // Only the tensors cross the segment; names and structure are those of a state of this mixer.
        let template =
            try state ?? block.mixer.initialState(batch: x.size(0), elementType: computeType, device: device)
        let names = template.tensors.map(\.name)
        let replay = DropoutReplay(call.context.generator)
        let results = try recomputing(
            [x] + (state?.tensors.map(\.tensor) ?? []), outputCount: 1 + names.count
        ) { inputs in
            try replay.run {
                let given =
                    state == nil ? nil : try block.mixer.state(from: Self.named(names, inputs.dropFirst()))
                let (y, next) = try block(inputs[0], state: given, call)
                return [y] + next.tensors.map(\.tensor)
            }
        }
        return (results[0], try block.mixer.state(from: Self.named(names, results.dropFirst())))
    }

    private static func named(_ names: [String], _ tensors: ArraySlice<Tensor>) -> [String: Tensor] {
        Dictionary(zip(names, tensors), uniquingKeysWith: { first, _ in first })
    }

    // MARK: State

    /// The state before the first token, for a batch.
    public func initialState(batch: Int) throws -> LanguageModelState {
        LanguageModelState(
            layers: try blocks.map {
                try $0.mixer.initialState(batch: batch, elementType: computeType, device: device)
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
            layers: try zip(blocks, state.layers).map { try $0.mixer.rebased($1, by: offsets) },
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
            var named: [String: [Tensor]] = [:]
            for state in states {
                for (name, tensor) in state.layers[layer].tensors { named[name, default: []].append(tensor) }
            }
            let axes = first.layers[layer].growingAxes
            return try Dictionary(
                uniqueKeysWithValues: named.map { name, parts in
                    (name, try Tensor.concatenated(Self.padded(parts, axis: axes[name]), axis: 0))
                })
        }
        return try state(from: layers, positions: states.flatMap(\.positions))
    }

    private static func padded(_ tensors: [Tensor], axis: Int?) throws -> [Tensor] {
        guard let axis else { return tensors }
        let length = tensors.reduce(0) { max($0, $1.size(axis)) }
        return try tensors.map { tensor in
            guard tensor.size(axis) < length else { return tensor }
            var shape = tensor.shape
            shape[axis] = length - tensor.size(axis)
            let zeros = try Tensor.zeros(shape, tensor.elementType, on: tensor.device)
            return try Tensor.concatenated([tensor, zeros], axis: axis)
        }
    }

    /// A state read back from saved tensors, one dictionary a layer.
    public func state(from layers: [[String: Tensor]], positions: [SequencePosition]) throws
        -> LanguageModelState
    {
        guard layers.count == blocks.count else {
            throw MixerError.wrongState(expected: "\(blocks.count) layers", found: "\(layers.count)")
        }
        let states = try zip(blocks, layers).map { try $0.mixer.state(from: $1) }
        for state in states {
            for (_, tensor) in state.tensors where tensor.size(0) != positions.count {
                throw MixerError.wrongBatch(expected: positions.count, found: tensor.size(0))
            }
        }
        return LanguageModelState(layers: states, positions: positions)
    }
}

/// Makes dropout draw the same numbers when a segment is computed again.
private final class DropoutReplay {
    private let generator: Generator?
    private var start: [UInt8]?

    init(_ generator: Generator?) { self.generator = generator }

    func run<R>(_ body: () throws -> R) throws -> R {
        guard let generator else { return try body() }
        guard let start else {
            start = try generator.state()
            return try body()
        }
        let now = try generator.state()
        try generator.restore(start)
        let result = try body()
        try generator.restore(now)
        return result
    }
}
