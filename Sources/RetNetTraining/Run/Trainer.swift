import Foundation
import RetNetLayers
import RetNetText
import RetNetTorch

/// Makes the steps of a training run, without any files.
///
/// One step: passes forward and backward → clip → guard → optimizer. The task computes the passes: a language model's
/// next tokens (``LanguageModelTask``) or the targets of an encoder-decoder (``EncoderDecoderTask``).
public final class Trainer<Task: TrainingTask> {
    /// The model with its data and its loss.
    public let task: Task
    /// The optimizer with its moments.
    public let optimizer: any Optimizer
    /// The learning rate of every step.
    public let schedule: LearningRateSchedule
    /// Steps of the whole run.
    public let stepCount: Int
    /// Steps made so far.
    public private(set) var step = 0
    /// Targets counted so far.
    public private(set) var tokenCount = 0
    /// The guard that skips unsound updates.
    public private(set) var lossGuard: LossGuard

    /// The source of dropout's random numbers.
    let generator: Generator
    /// The other ranks that train the model; nil for one process.
    let replicas: Replicas?
    private let accumulationCount: Int

    /// A trainer at step 0; makes all parameters require gradients.
    ///
    /// Dropout has a seed of its own, by default one that follows from the configuration's, and on every rank another.
    /// With `replicas`, ranks share the steps, and all begin with the weights of rank 0. Throws `TorchError`,
    /// `DistributedError` and ``TrainingError``.
    public init(
        _ task: Task, _ configuration: TrainingConfiguration = .init(), dropoutSeed: UInt64? = nil,
        replicas: Replicas? = nil
    ) throws {
        self.task = task
        let parameters = task.parameters
        try parameters.setRequiresGradient(true)
        accumulationCount = max(1, configuration.accumulationCount)
        stepCount = try configuration.duration.stepCount(of: task, passesPerStep: accumulationCount)
        self.replicas = replicas
        try replicas?.join(task, passCount: accumulationCount)
        optimizer = try configuration.optimizer.makeOptimizer(
            replicas?.updatedEntries() ?? parameters.entries)
        schedule = LearningRateSchedule(
            peak: configuration.optimizer.learningRate, stepCount: stepCount, configuration.schedule)
        lossGuard = LossGuard(configuration.lossGuard)
        let seed = dropoutSeed ?? configuration.dropoutSeed
        generator = try Generator(seed: replicas?.dropoutSeed(seed) ?? seed, device: parameters.device)
    }

    /// Makes the steps that are left, until `body` returns false.
    public func makeSteps(_ body: (TrainingStep) throws -> Bool) throws {
        while step < stepCount {
            guard try body(makeStep()) else { return }
        }
    }

    /// Makes one step; throws `TextError`, `TorchError` and ``TrainingError/diverged(step:skipped:reason:)``.
    public func makeStep() throws -> TrainingStep {
        let start = ContinuousClock.now
        let number = step + 1
        let passes = StepPasses(count: accumulationCount, generator: generator)
        var loss = try task.accumulateGradients(replicas?.passes(passes) ?? passes)
        if let replicas { loss = try replicas.combine(loss) }
        let dividing = replicas.flatMap { $0.dividesGradients ? $0 : nil }
        let norm = try StepProfile.part(.optimizer) {
            try dividing?.gradientNorm() ?? optimizer.gradientNorm()
        }
        let rate = schedule.learningRate(step: number)
        var result = TrainingStep(
            step: number, loss: loss.mean, gradientNorm: norm, learningRate: rate,
            tokenCount: loss.targetCount, totalTokenCount: tokenCount + loss.targetCount,
            byteCount: loss.byteCount, accuracy: loss.accuracy, auxiliary: loss.auxiliary)
        switch try lossGuard.judge(loss: loss.mean, gradientNorm: norm, step: number) {
        case .apply:
            try StepProfile.part(.optimizer) {
                try optimizer.step(
                    learningRate: rate, gradientScale: optimizer.clipFactor(norm: norm))
                try replicas?.shareUpdates()
            }
        case .skip(let reason):
            result.skipReason = reason
            // A pass without a finite loss leaves no usable state either: the rows restart from an empty one.
            if !loss.mean.isFinite { task.forgetCarriedState() }
        }
        try task.parameters.clearGradients()
        step = number
        tokenCount = result.totalTokenCount
        result.seconds = (ContinuousClock.now - start) / .seconds(1)
        return result
    }

    // MARK: State

    /// Returns everything but weights and moments that the next step depends on.
    func progress() throws -> TrainerProgress {
        TrainerProgress(
            step: step, tokenCount: tokenCount, updateCount: optimizer.stepCount,
            generatorState: Data(try generator.state()), batchState: task.dataState,
            guardStatistics: lossGuard.statistics, hasCarriedState: task.hasCarriedState,
            rankGeneratorStates: try replicas?.gathered(
                Data(generator.state()), "gathering the states of dropout"))
    }

    /// Continues from saved progress; weights, moments and carried state must have been restored already.
    func restore(_ progress: TrainerProgress) throws {
        try task.restoreData(progress.batchState)
        try restoreGenerator(progress)
        lossGuard.statistics = progress.guardStatistics
        step = progress.step
        tokenCount = progress.tokenCount
    }

    /// On another number of ranks than before, ranks from 1 on begin new random numbers.
    private func restoreGenerator(_ progress: TrainerProgress) throws {
        let (index, count) = replicas?.stream ?? (0, 1)
        let states = progress.rankGeneratorStates ?? [progress.generatorState]
        if states.count == count || index == 0 {
            try generator.restore([UInt8](index == 0 ? progress.generatorState : states[index]))
        } else {
            let seed = UInt64(index) &* 0x9e37_79b9_7f4a_7c15 ^ UInt64(progress.step)
            try generator.restore(Generator(seed: seed, device: generator.device).state())
        }
    }
}

/// The result of one step of training.
public struct TrainingStep: Sendable, Equatable {
    /// Number of the step, counted from 1 over the whole run.
    public var step: Int
    /// Mean loss in nats per token over all micro-batches, before the update.
    public var loss: Double
    /// Global norm of the gradients before clipping.
    public var gradientNorm: Double
    /// Learning rate of the update.
    public var learningRate: Double
    /// Targets that counted in this step.
    public var tokenCount: Int
    /// Targets that counted in the whole run so far.
    public var totalTokenCount: Int
    /// Bytes of source text of the targets of this step; nil where they are not a text from start to end, or not known.
    public var byteCount: Int?
    /// Reason for skipping the update; nil when it was made.
    public var skipReason: String?
    /// Share of targets that had the largest logit; nil where that is not counted.
    public var accuracy: Double?
    /// Terms added to the loss and other measurements of the layers, by name.
    public var auxiliary: [String: Double] = [:]
    /// Time that the step took.
    public var seconds = 0.0

    /// Loss in bits per byte of the source text; nil where the bytes are not known or none, or the loss is not finite.
    public var bitsPerByte: Double? {
        guard let byteCount, byteCount > 0, loss.isFinite else { return nil }
        return loss * Double(tokenCount) / log(2) / Double(byteCount)
    }
}
