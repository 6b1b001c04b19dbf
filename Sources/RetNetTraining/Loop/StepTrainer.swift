import Foundation
import RetNetLayers
import RetNetText
import RetNetTorch

/// Makes the steps of a training run; knows nothing of files, and of the model only what its objective says.
///
/// One step: passes forward and backward → clip → guard → optimiser. What a pass computes is the objective's: a language
/// model's next tokens (``Trainer``) or the targets of an encoder-decoder (``T5Trainer``).
public final class StepTrainer<Objective: TrainingObjective> {
    /// What is learned, with the model and its data.
    public let objective: Objective
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

    /// Where dropout draws from.
    let generator: Generator
    private let accumulationCount: Int

    /// A trainer at step 0; makes all parameters require gradients.
    public init(objective: Objective, options: StepOptions = .init()) throws {
        self.objective = objective
        let parameters = objective.parameters
        try parameters.setRequiresGradient(true)
        optimizer = try options.optimizer.makeOptimizer(parameters)
        schedule = LearningRateSchedule(
            peak: options.optimizer.learningRate, stepCount: options.stepCount, options.schedule)
        lossGuard = LossGuard(options.lossGuard)
        generator = try Generator(seed: options.dropoutSeed, device: parameters.device)
        accumulationCount = max(1, options.accumulationCount)
    }

    /// Makes one step; throws `TextError`, `TorchError` and ``TrainingError/diverged(step:skipped:reason:)``.
    public func makeStep() throws -> TrainingStep {
        let number = step + 1
        let loss = try objective.accumulateGradients(passCount: accumulationCount, generator: generator)
        let norm = try optimizer.gradientNorm()
        let rate = schedule.learningRate(step: number)
        var result = TrainingStep(
            step: number, loss: loss.mean, gradientNorm: norm, learningRate: rate,
            tokenCount: loss.targetCount, totalTokenCount: tokenCount + loss.targetCount, skipReason: nil,
            accuracy: loss.accuracy, auxiliary: loss.auxiliary)
        switch try lossGuard.judge(loss: loss.mean, gradientNorm: norm, step: number) {
        case .apply:
            try optimizer.clipGradients(norm: norm)
            try optimizer.step(learningRate: rate)
        case .skip(let reason):
            result.skipReason = reason
            // A pass without a finite loss leaves no usable memory either: the rows begin anew.
            if !loss.mean.isFinite { objective.forgetCarriedState() }
        }
        try objective.parameters.clearGradients()
        step = number
        tokenCount = result.totalTokenCount
        return result
    }

    // MARK: State

    /// Everything but weights and moments that the next step depends on.
    func progress() throws -> TrainerProgress {
        TrainerProgress(
            step: step, tokenCount: tokenCount, updateCount: optimizer.stepCount,
            generatorState: Data(try generator.state()), batchState: objective.dataState,
            guardStatistics: lossGuard.statistics, hasCarriedState: objective.hasCarriedState)
    }

    /// Continues from saved progress; weights, moments and carried state must have been restored already.
    func restore(_ progress: TrainerProgress) throws {
        try objective.restoreData(progress.batchState)
        try generator.restore([UInt8](progress.generatorState))
        lossGuard.statistics = progress.guardStatistics
        step = progress.step
        tokenCount = progress.tokenCount
    }
}
