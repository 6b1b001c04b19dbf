import Foundation
import Layers
import Mixers
import Models
import Text
import Torch

/// Trains a language model step by step; knows nothing of files.
///
/// One step: batches → forward → summed loss over counted targets → backward → clip → guard → AdamW. Losses of
/// micro-batches are weighted by their counted targets, so that accumulation equals one large batch.
public final class Trainer {
    /// The model in training.
    public let model: LanguageModel
    /// The optimiser with its moments.
    public let optimizer: any Optimizer
    /// The learning rate of every step.
    public let schedule: LearningRateSchedule
    /// How many steps have been made.
    public private(set) var step = 0
    /// How many targets have counted so far.
    public private(set) var tokenCount = 0
    /// Keeps unsound updates out of the weights.
    public private(set) var lossGuard: LossGuard
    /// The state after the last window of every row, in contiguous mode.
    public private(set) var carriedState: LanguageModelState?

    /// Where the next batches come from.
    var source: any BatchSource
    /// Where dropout draws from.
    let generator: Generator
    private let form: MixerForm
    private let accumulationCount: Int
    private let carriesState: Bool

    /// What a trainer needs besides the model.
    public struct Options {
        /// Settings of the optimiser.
        public var optimizer = OptimizerConfiguration()
        /// Settings of the learning rate.
        public var schedule = ScheduleConfiguration()
        /// Settings of the guard.
        public var lossGuard = GuardConfiguration()
        /// Steps of the whole run, which the schedule depends on.
        public var stepCount = 1000
        /// Micro-batches of one step.
        public var accumulationCount = 1
        /// The form of training passes.
        public var form = MixerForm.parallel
        /// Whether each batch continues from the state of the one before.
        public var carriesState = false
        /// The seed of dropout.
        public var dropoutSeed: UInt64 = 0

        /// The defaults.
        public init() {}
    }

    /// A trainer at step 0; makes all parameters require gradients.
    ///
    /// Throws `MixerError` when the model lacks the form, and `TorchError`.
    public init(_ model: LanguageModel, source: any BatchSource, options: Options = .init()) throws {
        if let reason = model.obstacle(to: options.form) {
            throw MixerError.unsupportedForm(mixer: "the model", form: options.form, reason: reason)
        }
        self.model = model
        self.source = source
        try model.parameters.setRequiresGradient(true)
        optimizer = try options.optimizer.makeOptimizer(model.parameters)
        schedule = LearningRateSchedule(
            peak: options.optimizer.learningRate, stepCount: options.stepCount, options.schedule)
        lossGuard = LossGuard(options.lossGuard)
        generator = try Generator(seed: options.dropoutSeed, device: model.device)
        form = options.form
        accumulationCount = max(1, options.accumulationCount)
        carriesState = options.carriesState
    }

    /// Makes one step; throws `TextError`, `TorchError` and ``TrainingError/diverged(step:skipped:reason:)``.
    public func makeStep() throws -> TrainingStep {
        let number = step + 1
        let batches = try (0..<accumulationCount).map { _ in try source.next() }
        let targetCount = batches.reduce(0) { $0 + $1.targetCount }
        let (loss, auxiliary) = try accumulateGradients(batches, targetCount: targetCount)
        let norm = try optimizer.gradientNorm()
        let rate = schedule.learningRate(step: number)
        var result = TrainingStep(
            step: number, loss: loss, gradientNorm: norm, learningRate: rate, tokenCount: targetCount,
            totalTokenCount: tokenCount + targetCount, skipReason: nil, auxiliary: auxiliary)
        switch try lossGuard.judge(loss: loss, gradientNorm: norm, step: number) {
        case .apply:
            try optimizer.clipGradients(norm: norm)
            try optimizer.step(learningRate: rate)
        case .skip(let reason):
            result.skipReason = reason
            // A pass without a finite loss leaves no usable memory either: the rows begin anew.
            if !loss.isFinite { carriedState = nil }
        }
        try model.parameters.clearGradients()
        step = number
        tokenCount = result.totalTokenCount
        return result
    }

    /// Runs all micro-batches forward and backward; returns the mean loss and what layers added beside it.
    private func accumulateGradients(_ batches: [Batch], targetCount: Int) throws
        -> (loss: Double, auxiliary: [String: Double])
    {
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
        return (try (total?.item() ?? 0) * scale, auxiliary)
    }

    private func stateBefore(_ batch: Batch) throws -> LanguageModelState? {
        guard carriesState, let carriedState else { return nil }
        let rows = batch.resets.indices.filter { batch.resets[$0] }
        if rows.count == batch.rowCount { return nil }
        return try carriedState.resetting(rows: rows)
    }

    // MARK: State

    /// Everything but weights and moments that the next step depends on.
    func progress() throws -> TrainerProgress {
        TrainerProgress(
            step: step, tokenCount: tokenCount, updateCount: optimizer.stepCount,
            generatorState: Data(try generator.state()), batchState: source.state,
            guardStatistics: lossGuard.statistics, hasCarriedState: carriedState != nil)
    }

    /// Continues from saved progress; weights and moments must have been restored already.
    func restore(_ progress: TrainerProgress, carriedState: LanguageModelState?) throws {
        try source.restore(progress.batchState)
        try generator.restore([UInt8](progress.generatorState))
        lossGuard.statistics = progress.guardStatistics
        step = progress.step
        tokenCount = progress.tokenCount
        self.carriedState = carriedState
    }
}
