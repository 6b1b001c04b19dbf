import Foundation
import RetNetMixers
import RetNetModels
import RetNetSettings
import RetNetTorch

/// Everything that decides a training run; read from YAML or JSON and from `path=value` overrides.
///
///     model: {preset: NAME, …}     data: {paths: […], …}     optimizer: {…}     schedule: {…}     guard: {…}
///     steps: 1000 (or tokens, or epochs)     accumulation: 1     form: auto     precision: auto
///     recompute_activations: false     seed: 1
///     log: {every: 10}   evaluation: {every, batches}   sample: {every, prompt, tokens}
///     checkpoint: {every, keep_last}
public struct TrainingConfiguration: Sendable, Equatable {
    /// The element type of passes; weights, moments, losses and states are float32 in any case.
    public enum Precision: String, Sendable, CaseIterable {
        /// bfloat16 where the processor or GPU multiplies it natively, else float32.
        case auto
        /// Single precision.
        case float32
        /// Half the memory traffic, with three digits.
        case bfloat16

        /// The choice made that `auto` leaves to the machine.
        var resolved: Precision {
            self == .auto ? (Runtime.hasFastBFloat16 ? .bfloat16 : .float32) : self
        }
        /// The element type that it stands for.
        var elementType: ElementType { resolved == .bfloat16 ? .bfloat16 : .float32 }
    }

    /// `model`: the architecture, as a preset with changes or written out.
    public var model: LanguageModelConfiguration
    /// `data`: the text and how batches are cut from it.
    public var data = DataConfiguration()
    /// `optimizer`: AdamW.
    public var optimizer = OptimizerConfiguration()
    /// `schedule`: the course of the learning rate.
    public var schedule = ScheduleConfiguration()
    /// `guard`: when an update is left out.
    public var lossGuard = GuardConfiguration()
    /// `log`, `evaluation`, `sample` and `checkpoint`.
    public var monitoring = MonitoringConfiguration()
    /// `steps`, `tokens` or `epochs`: how long the run lasts, 1,000 steps by default.
    public var duration = RunDuration.steps(1000)
    /// `accumulation`: micro-batches of one update, 1 by default.
    public var accumulationCount = 1
    /// `form`: the form of training passes; nil, or `auto`, is the one in which the model is fastest.
    public var form: MixerForm?
    /// `precision`: the element type of passes.
    public var precision = Precision.auto
    /// `recompute_activations`: whether blocks keep only their inputs for the backward pass.
    ///
    /// Memory then hardly grows with depth, for about a third more time; meant for long sequences.
    public var recomputesActivations = false
    /// `seed`: decides first weights, order of the data and dropout, 1 by default.
    public var seed: UInt64 = 1

    /// A run of the given model with all defaults.
    public init(model: LanguageModelConfiguration) { self.model = model }

    /// The configuration with every choice made that was left to the program, and with absolute paths.
    ///
    /// Throws `SettingsError` when the model is not sound.
    public func resolved() throws -> TrainingConfiguration {
        try model.validate()
        var result = self
        result.data.paths = data.paths.map { URL(fileURLWithPath: $0).path }
        if FileManager.default.fileExists(atPath: data.tokenizer) {
            result.data.tokenizer = URL(fileURLWithPath: data.tokenizer).path
        }
        result.data.validationPaths = data.validationPaths.map { URL(fileURLWithPath: $0).path }
        result.form = form ?? model.trainingForm
        result.precision = precision.resolved
        return result
    }

    /// The element type of passes.
    var computeType: ElementType { precision.elementType }

    /// The part of the configuration that the trainer needs; the number of steps is not known here.
    var trainerOptions: Trainer.Options {
        var options = Trainer.Options()
        options.optimizer = optimizer
        options.schedule = schedule
        options.lossGuard = lossGuard
        options.accumulationCount = accumulationCount
        options.form = form ?? model.trainingForm
        options.carriesState = data.mode == .contiguous
        options.dropoutSeed = StepOptions.dropoutSeed(ofRun: seed)
        return options
    }
}
