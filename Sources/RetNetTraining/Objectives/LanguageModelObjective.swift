import RetNetCheckpoints
import RetNetLayers
import RetNetMixers
import RetNetModels
import RetNetText
import RetNetTorch

/// Learns the next token of a text with a language model.
public final class LanguageModelObjective: TrainingObjective {
    /// The model in training.
    public let model: LanguageModel
    /// The state after the last window of every row, in contiguous mode.
    public private(set) var carriedState: LanguageModelState?

    private var source: any BatchSource
    private let form: MixerForm
    private let carriesState: Bool
    private static let stateFileName = "carried_state.safetensors"

    /// Learns from batches; throws `MixerError` when the model lacks the form.
    public init(
        _ model: LanguageModel, source: any BatchSource, form: MixerForm = .parallel,
        carriesState: Bool = false
    ) throws {
        if let reason = model.unsupportedReason(for: form) {
            throw MixerError.unsupportedForm(mixer: "the model", form: form, reason: reason)
        }
        self.model = model
        self.source = source
        self.form = form
        self.carriesState = carriesState
    }

    /// The parameters of the model.
    public var parameters: ParameterStore { model.parameters }
    /// The place in the text.
    public var dataState: BatchSourceState { source.state }
    /// Whether rows go on from where they were.
    public var hasCarriedState: Bool { carriedState != nil }

    /// Runs the next batches forward and backward.
    public func accumulateGradients(passCount: Int, generator: Generator) throws -> StepLoss {
        let batches = try (0..<passCount).map { _ in try source.next() }
        let targetCount = batches.reduce(0) { $0 + $1.targetCount }
        let scale = 1 / Double(max(1, targetCount))
        var total: Tensor?
        var auxiliary: [String: Double] = [:]
        for batch in batches {
            let shape = [batch.rowCount, batch.length]
            let tokens = try Tensor.from(batch.tokens, shape).to(.int64, on: model.device)
            let targets = try Tensor.from(batch.targets, shape).to(.int64, on: model.device)
            let before = try stateBefore(batch)
            let losses = AuxiliaryLosses()
            let context = ForwardContext(
                isTraining: true, generator: generator, auxiliaryLosses: losses)
            let (sum, next) = try model.lossSum(
                tokens, targets: targets, state: before, form: form, context: context)
            // Terms are means over the tokens of a pass, so passes count by their targets.
            let share = Double(batch.targetCount) * scale
            let objective = try losses.total().map { try sum * scale + $0 * share } ?? sum * scale
            try objective.backward()
            for (name, value) in try losses.summary() { auxiliary[name, default: 0] += value * share }
            let part = try sum.detached()
            total = try total.map { try $0 + part } ?? part
            if carriesState { carriedState = try next.detached() }
        }
        return StepLoss(
            mean: try (total?.item() ?? 0) * scale, targetCount: targetCount, auxiliary: auxiliary)
    }

    private func stateBefore(_ batch: Batch) throws -> LanguageModelState? {
        guard carriesState, let carriedState else { return nil }
        let rows = batch.resets.indices.filter { batch.resets[$0] }
        if rows.count == batch.rowCount { return nil }
        return try carriedState.resetting(rows: rows)
    }

    // MARK: State

    /// Goes to a saved place in the text; throws `TextError.stateMismatch`.
    public func restoreData(_ state: BatchSourceState) throws { try source.restore(state) }

    /// The rows begin anew.
    public func forgetCarriedState() { carriedState = nil }

    /// Writes `carried_state.safetensors` where there is a state.
    public func writeCarriedState(into folder: String) throws {
        guard let carriedState else { return }
        try StateFile.write(SavedState(state: carriedState), of: model, to: folder + "/" + Self.stateFileName)
    }

    /// Reads `carried_state.safetensors`.
    public func readCarriedState(from folder: String) throws {
        carriedState = try StateFile.read(folder + "/" + Self.stateFileName, for: model).state
    }
}
