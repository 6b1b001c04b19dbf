import Foundation
import RetNetModels
import RetNetSettings
import RetNetTorch

/// Everything that decides a training run of a T5; read from YAML or JSON and from `path=value` overrides.
///
///     model: {preset: t5-2m, …} or initial_model: FOLDER     data: {paths: […], objective: …} or {tasks: […]}
///     optimizer: {kind: adafactor, …}     schedule: {kind: inverse_square_root, …}     guard: {…}
///     steps: 1000 (or tokens, or epochs)     accumulation: 1     precision: auto     z_loss: 1e-4     seed: 1
///     log: {every}   evaluation: {every, batches}   sample: {every, prompt, tokens}   checkpoint: {every, keep_last}
///
/// The defaults are T5X's: Adafactor at 0.01 for 10,000 steps and then falling with the root of the step, or for tasks
/// a constant 0.001.
public struct T5TrainingConfiguration: Sendable, Equatable {
    /// `model`: the architecture.
    public var model: T5Configuration
    /// `initial_model`: a folder whose weights the run begins with; nil draws new ones.
    public var initialModel: String?
    /// `data`: text or tasks.
    public var data = T5DataConfiguration()
    /// `optimizer`: Adafactor, unless told otherwise.
    public var optimizer = OptimizerConfiguration.adafactor
    /// `schedule`: the course of the learning rate.
    public var schedule: ScheduleConfiguration
    /// `guard`: when an update is left out.
    public var lossGuard = GuardConfiguration()
    /// `log`, `evaluation`, `sample` and `checkpoint`; samples are off unless asked for.
    public var monitoring: MonitoringConfiguration
    /// `steps`, `tokens` (targets) or `epochs`: how long the run lasts, 1,000 steps by default.
    public var duration = RunDuration.steps(1000)
    /// `accumulation`: passes of one update, 1 by default.
    public var accumulationCount = 1
    /// `precision`: the element type of passes.
    public var precision = TrainingConfiguration.Precision.auto
    /// `z_loss`: the weight of the squared log-normaliser, 1e-4.
    public var zLoss = T5Model.standardZLoss
    /// `seed`: decides first weights, order of the data, what is cut out of texts, and dropout.
    public var seed: UInt64 = 1

    /// A run of the given model with all defaults.
    public init(model: T5Configuration) {
        self.model = model
        schedule = ScheduleConfiguration()
        schedule.kind = .inverseSquareRoot
        schedule.warmupStepCount = 10_000
        monitoring = MonitoringConfiguration()
        monitoring.sampleInterval = 0
    }

    /// Takes over what T5X fine-tunes with.
    mutating func applyFineTuningDefaults() {
        optimizer.learningRate = 1e-3
        schedule.kind = .constant
        schedule.warmupStepCount = 0
    }

    /// The configuration with every choice made that was left to the program, and with absolute paths.
    ///
    /// Throws `SettingsError` when the model is not sound.
    public func resolved() throws -> T5TrainingConfiguration {
        try model.validate()
        var result = self
        result.data = data.withAbsolutePaths()
        result.initialModel = initialModel.map { URL(fileURLWithPath: $0).path }
        result.precision = precision.resolved
        return result
    }

    /// The element type of passes.
    var computeType: ElementType { precision.elementType }

    /// The part of the configuration that the trainer needs.
    func stepOptions(stepCount: Int) -> StepOptions {
        var options = StepOptions()
        options.optimizer = optimizer
        options.schedule = schedule
        options.lossGuard = lossGuard
        options.stepCount = stepCount
        options.accumulationCount = accumulationCount
        options.dropoutSeed = StepOptions.dropoutSeed(ofRun: seed)
        return options
    }
}
