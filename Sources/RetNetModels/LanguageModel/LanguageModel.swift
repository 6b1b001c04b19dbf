import Foundation
import RetNetArchitecture
import RetNetLayers
import RetNetMixers
import RetNetTorch

/// A decoder-only language model over any token mixer.
///
///     X⁰ = Embedding(tokens)        Xˡ = Blockˡ(Xˡ⁻¹), l = 1 … L        logits = Norm(Xᴸ) W_outᵀ
///
/// B batch, T time, D model width, V vocabulary. A pass in any form takes a state and returns the state after its last
/// token; a sequence as a whole, in pieces or token by token gives the same logits.
public final class LanguageModel {
    /// The architecture.
    public let configuration: LanguageModelConfiguration
    /// All parameters by name.
    public let parameters: ParameterStore
    /// The element type of computation, independent of that of the parameters.
    public var computeType: ElementType
    /// True if blocks keep only their inputs for the backward pass and compute all else again.
    public var recomputesActivations = false

    private let embedding: Embedding
    private let positions: Embedding?
    private let embeddingNorm: Norm?
    let stack: BlockStack
    var blocks: [any Block] { stack.blocks }
    private let finalNorm: Norm?
    private let output: Linear?
    private let embeddingScale: Double
    /// The ranks that have some of the tokens of embedding and output matrix each; nil for all.
    private let vocabularyGroup: (any RankGroup)?

    /// Declares all parameters in the store.
    ///
    /// Where the store has a group, its ranks have parts of the layers each and run the same passes together. Throws
    /// `SettingsError` for an invalid configuration, `MixerError.cannotDivide(reason:)`, and `TorchError`.
    public init(
        _ configuration: LanguageModelConfiguration, parameters: ParameterStore, computeType: ElementType
    ) throws {
        try configuration.validate()
        let c = configuration
        let initializers = ModelInitializers(c)
        let root = parameters.root
        if let group = parameters.group, let reason = c.divisionRefusal(between: group.count) {
            throw MixerError.cannotDivide(reason: reason)
        }
        vocabularyGroup = parameters.group.flatMap { c.dividesVocabulary(between: $0.count) ? $0 : nil }
        let dividesVocabulary = vocabularyGroup != nil
        embedding = try Embedding(
            root.scope("embedding"), count: c.vocabularySize, size: c.embeddingWidth,
            initializer: initializers.embedding, dividesRows: dividesVocabulary)
        positions =
            c.positionEmbedding == .learned
            ? try Embedding(
                root.scope("position_embedding"), count: c.positionCount, size: c.hiddenSize,
                initializer: initializers.embedding) : nil
        embeddingNorm =
            c.embeddingNorm ? try Norm(root.scope("embedding_norm"), size: c.embeddingWidth, c.norm) : nil
        stack = try BlockStack(root, c, initializers)
        finalNorm = c.finalNorm ? try Norm(root.scope("final_norm"), size: c.outputWidth, c.norm) : nil
        output =
            c.tiedOutput
            ? nil
            : try Linear(
                root.scope("output"), from: c.outputWidth, to: c.vocabularySize, bias: c.outputBias,
                initializer: initializers.output, isHiddenMap: false,
                dividing: dividesVocabulary ? .outputs : nil)
        embeddingScale = c.embeddingScale.factor(hiddenSize: c.hiddenSize)
        self.configuration = configuration
        self.parameters = parameters
        self.computeType = computeType
    }

    /// The device of the parameters.
    public var device: Device { parameters.device }

    /// Returns the reason why the model cannot run in a form; nil if every block can.
    public func unsupportedReason(for form: MixerForm) -> String? {
        blocks.lazy.compactMap { $0.unsupportedReason(for: form) }.first
    }

    // MARK: Forward

    /// Returns the reason why the sequences of the model cannot lie on several ranks; nil if they can.
    public var reasonAgainstDividedSequences: String? {
        if dependsOnBatch {
            return "its experts choose among all tokens of a pass, of which a rank has a part"
        }
        // The form of those that continue from a state.
        return unsupportedReason(for: .chunkwise(1))
    }

    /// Returns hidden states [B, T, D] after the final norm for int64 tokens [B, T], and the state after the last one.
    ///
    /// With a part of sequences in the context, tokens are those of this rank, and states those of the whole sequences.
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
        if let part = context.sequence, part.length != time {
            throw TorchError(
                kind: .value, message: "\(time) tokens are not the \(part.length) of rank \(part.rank)")
        }
        let starts = state?.positions ?? [SequencePosition](repeating: SequencePosition(), count: batch)
        let positions = starts.map { $0.advanced(by: context.sequence?.offset ?? 0) }
        let pass = ForwardPass(form: form, positions: positions, context: context)
        let embedded = try StepProfile.part(.embedding) { try embed(tokens, pass) }
        let (output, layers) = try stack(
            embedded, states: state?.layers, pass, recomputes: recomputesActivations)
        let x = try StepProfile.part(.norms) { try finalNorm?(output) ?? output }
        let whole = context.sequence?.wholeLength ?? time
        return (x, LanguageModelState(layers: layers, positions: starts.map { $0.advanced(by: whole) }))
    }

    /// True if tokens depend on the other rows of a pass: experts choose among all of them, or have room for some of them.
    public var dependsOnBatch: Bool {
        configuration.pattern.contains { layer in
            guard let experts = layer.feedForward.experts else { return false }
            return experts.routing == .expertChoice || experts.sequenceCapacity != nil
        }
    }

    /// True if ``hidden(_:in:state:)`` can run: every layer can, and tokens of other branches do not matter.
    public var supportsForests: Bool { blocks.allSatisfy(\.supportsForests) && !dependsOnBatch }

    /// True if a ``RecordedStep`` of the model can be made, which no other rank takes part in.
    public var supportsRecording: Bool {
        parameters.group == nil && configuration.altUp == nil && configuration.positionEmbedding == .none
            && blocks.allSatisfy(\.supportsRecording)
    }

    /// Runs one token [B, 1] of every row in a pass of the caller's; returns logits [B, V] and the next states of layers.
    func step(_ tokens: Tensor, layers: [any MixerState], _ pass: ForwardPass) throws -> (
        logits: Tensor, layers: [any MixerState]
    ) {
        let (output, next) = try stack(embed(tokens, pass), states: layers, pass, recomputes: false)
        return (try logits(finalNorm?(output) ?? output).squeezed(1), next)
    }

    /// Returns hidden states [B, T, D] after the final norm for int64 tokens [B, T], rows of trees, without states after them.
    ///
    /// All rows continue from `state`, of B rows at the same place or of one row for all of them.
    public func hidden(_ tokens: Tensor, in forest: TokenForest, state: LanguageModelState? = nil) throws
        -> Tensor
    {
        guard tokens.shape == [forest.rowCount, forest.length] else {
            throw MixerError.wrongBatch(expected: forest.rowCount, found: tokens.size(0))
        }
        if let state, state.batchSize != 1, state.batchSize != forest.rowCount {
            throw MixerError.wrongBatch(expected: forest.rowCount, found: state.batchSize)
        }
        if let state, state.layers.count != blocks.count {
            throw MixerError.wrongState(expected: "\(blocks.count) layers", found: "\(state.layers.count)")
        }
        guard supportsForests else {
            throw MixerError.unsupportedForm(
                mixer: "this model", form: .parallel, reason: "a layer cannot run trees of tokens")
        }
        var positions = state?.positions ?? [SequencePosition()]
        if positions.count == 1 {
            positions = [SequencePosition](repeating: positions[0], count: forest.rowCount)
        }
        var context = ForwardContext.inference
        context.keepsStates = false
        let pass = ForwardPass(form: .parallel, positions: positions, context: context, forest: forest)
        let embedded = try embed(tokens, pass)
        let (output, _) = try stack(embedded, states: state?.layers, pass, recomputes: false)
        return try finalNorm?(output) ?? output
    }

    /// Returns logits [B, T, V] (or [B, 1, V] of the last token only) and the state after the last token.
    public func callAsFunction(
        _ tokens: Tensor, state: LanguageModelState? = nil, form: MixerForm, lastOnly: Bool = false,
        context: ForwardContext = .inference
    ) throws -> (logits: Tensor, state: LanguageModelState) {
        let (x, next) = try hidden(tokens, state: state, form: form, context: context)
        let rows = lastOnly ? try x.sliced(1, x.size(1) - 1..<x.size(1)) : x
        return (try logits(rows), next)
    }

    /// Returns logits [..., V] of hidden states [..., D].
    public func logits(_ hidden: Tensor) throws -> Tensor {
        guard let vocabularyGroup else { return try ownLogits(hidden) }
        return try vocabularyGroup.joining(ownLogits(vocabularyGroup.entering(hidden)))
    }

    /// Returns the logits of the tokens that this rank has: all of them, where no group divides the vocabulary.
    private func ownLogits(_ hidden: Tensor) throws -> Tensor {
        if let output { return try output(hidden) }
        return try embedding.logits(scaledForTable(hidden))
    }

    /// Returns hidden states as the tied table takes them: logits from one of width K d are K times as large as from one of
    /// width d.
    private func scaledForTable(_ hidden: Tensor) throws -> Tensor {
        let ratio = Double(configuration.outputWidth) / Double(configuration.hiddenSize)
        return ratio == 1 ? hidden : try hidden * (1 / ratio.squareRoot())
    }

    private func embed(_ tokens: Tensor, _ pass: ForwardPass) throws -> Tensor {
        var x = try embedding(tokens, as: computeType, scale: embeddingScale)
        if let table = try positionTable(pass, length: tokens.size(1), like: x) {
            x = try x + SinusoidalPositions.repeated(table, toWidth: x.size(-1))
        }
        if let embeddingNorm { x = try embeddingNorm(x) }
        return try Dropout.apply(x, probability: configuration.dropout.embedding, pass.context)
    }

    /// Returns what is added to embeddings for their positions, [B or 1, T, D]; nil for nothing.
    private func positionTable(_ pass: ForwardPass, length: Int, like x: Tensor) throws -> Tensor? {
        guard configuration.positionEmbedding != .none else { return nil }
        // A forest's rows begin at the same place; its tokens are as far from there as they are deep.
        let starts = pass.positions.map(\.position)
        let count = pass.forest?.depthCount ?? length
        let table =
            configuration.positionEmbedding == .sinusoidal
            ? try SinusoidalPositions.table(
                size: configuration.hiddenSize, starts: starts, length: count, like: x)
            : try learnedPositions(starts, length: count, like: x)
        return try pass.forest.map { try $0.spread(table) } ?? table
    }

    /// Returns the learned embeddings [B or 1, T, D] of rows that begin at `starts`.
    private func learnedPositions(_ starts: [Int], length: Int, like x: Tensor) throws -> Tensor {
        let limit = configuration.positionCount
        let ends = starts.map { $0.addingReportingOverflow(length) }
        guard let positions, starts.allSatisfy({ $0 >= 0 }),
            ends.allSatisfy({ !$0.overflow && $0.partialValue <= limit })
        else {
            let end = ends.map { $0.overflow ? Int.max : $0.partialValue }.max() ?? 0
            throw MixerError.tooLong(
                mixer: "the position embedding", length: end, limit: limit,
                remedy: "shorten the prompt, generate less, or read the text as several sequences")
        }
        let rows = Set(starts).count == 1 ? Array(starts.prefix(1)) : starts
        let indices = rows.flatMap { start in (start..<start + length).map(Int64.init) }
        return try positions(Tensor.from(indices, [rows.count, length]).to(on: x.device), as: x.elementType)
    }
}

extension LanguageModel {
    /// Largest number of logits that a loss holds at once.
    package static var logitBudget: Int { 1 << 25 }
    /// Largest number of logits that scores without gradients hold at once: few, so that they stay in the caches.
    private static var scoreBudget: Int { 1 << 22 }

    /// Returns the summed cross entropy in nats of int64 targets [B, T], and the state after the last token.
    ///
    /// Targets of -100 are ignored. More than four million logits are never in memory as a whole: output matrix and loss are one
    /// operator over slices of rows where there is a kernel; elsewhere the logits of slices are computed again in the
    /// backward pass.
    public func lossSum(
        _ tokens: Tensor, targets: Tensor, state: LanguageModelState? = nil, form: MixerForm,
        context: ForwardContext = .inference
    ) throws -> (loss: Tensor, state: LanguageModelState) {
        let (x, next) = try hidden(tokens, state: state, form: form, context: context)
        let rows = try x.reshaped([-1, x.size(-1)])
        let labels = try targets.reshaped([-1])
        let count = rows.size(0)
        let slice = Swift.max(1, Self.logitBudget / ownVocabularySize)
        return try StepProfile.part(.output) {
            if let fused = try fusedLossSum(rows, labels) { return (fused, next) }
            guard count > slice else { return (try lossSum(rows, labels), next) }
            var total: Tensor?
            for start in stride(from: 0, to: count, by: slice) {
                let range = start..<Swift.min(start + slice, count)
                let part = try recomputing([rows.sliced(0, range)], outputCount: 1) { [self] inputs in
                    [try StepProfile.part(.output) { try lossSum(inputs[0], labels.sliced(0, range)) }]
                }[0]
                total = try total.map { try $0 + part } ?? part
            }
            guard let total else { throw MixerError.emptySequence }
            return (total, next)
        }
    }

    /// The same by the operator that forms logits slice by slice; nil where there are few of them, there is no kernel, or ranks
    /// divide the vocabulary.
    private func fusedLossSum(_ rows: Tensor, _ labels: Tensor) throws -> Tensor? {
        guard vocabularyGroup == nil,
            FusedOperators.runsOutputLoss(rows, vocabularySize: configuration.vocabularySize)
        else { return nil }
        guard let output else {
            return try FusedOperators.outputLoss(
                scaledForTable(rows), weight: embedding.weight, targets: labels
            ).loss
        }
        return try FusedOperators.outputLoss(
            rows, weight: output.weight, bias: output.bias, targets: labels
        ).loss
    }

    /// The summed cross entropy of hidden rows [N, D], in one pass over their logits each way.
    private func lossSum(_ rows: Tensor, _ labels: Tensor) throws -> Tensor {
        guard let vocabularyGroup else {
            return try FusedOperators.tokenLosses(logits(rows), targets: labels).losses.sum()
        }
        let logits = try ownLogits(vocabularyGroup.entering(rows))
        return try vocabularyGroup.tokenLosses(logits, targets: labels).sum()
    }

    /// Tokens of the vocabulary whose logits a pass over this rank's holds.
    private var ownVocabularySize: Int {
        Swift.max(1, configuration.vocabularySize / (vocabularyGroup?.count ?? 1))
    }

    /// Returns the cross entropy in nats of every target, [B, T] float32; 0 where the target is -100.
    public func tokenLosses(
        _ tokens: Tensor, targets: Tensor, state: LanguageModelState? = nil, form: MixerForm
    ) throws -> (losses: Tensor, state: LanguageModelState) {
        let (x, next) = try hidden(tokens, state: state, form: form)
        let rows = try x.reshaped([-1, x.size(-1)])
        let labels = try targets.reshaped([-1])
        let budget = gradientsAreEnabled ? Self.logitBudget : Self.scoreBudget
        let slice = Swift.max(1, budget / ownVocabularySize)
        let parts = try stride(from: 0, to: rows.size(0), by: slice).map { start in
            let range = start..<Swift.min(start + slice, rows.size(0))
            guard let vocabularyGroup else {
                return try logits(rows.sliced(0, range)).crossEntropy(
                    labels.sliced(0, range), reduction: .none)
            }
            return try vocabularyGroup.tokenLosses(
                ownLogits(vocabularyGroup.entering(rows.sliced(0, range))), targets: labels.sliced(0, range))
        }
        return (try Tensor.concatenated(parts, axis: 0).reshaped(tokens.shape), next)
    }
}

/// Sines and cosines of absolute positions, which are added to embeddings (Vaswani et al., arXiv 1706.03762).
enum SinusoidalPositions {
    /// Returns [B or 1, T, D] for rows that begin at `starts`: sin(p θⱼ), then cos(p θⱼ), θⱼ = 10000^(-2j/D).
    static func table(size: Int, starts: [Int], length: Int, like x: Tensor) throws -> Tensor {
        let half = size / 2
        let angles = (0..<half).map { pow(10_000, -Double($0) / Double(half)) }
        let waves = try RotaryTable.make(
            angles: angles, starts: starts, length: length, type: x.elementType.accumulator, device: x.device)
        return try Tensor.concatenated([waves[1], waves[0]], axis: -1).to(x.elementType)
    }

    /// Returns vectors of positions for embeddings of several streams: the same for each.
    static func repeated(_ table: Tensor, toWidth width: Int) throws -> Tensor {
        let streams = [Tensor](repeating: table, count: Swift.max(1, width / table.size(-1)))
        return streams.count == 1 ? table : try Tensor.concatenated(streams, axis: -1)
    }
}
