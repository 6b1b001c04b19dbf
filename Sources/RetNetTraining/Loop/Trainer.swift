import RetNetMixers
import RetNetModels
import RetNetText

/// Trains a language model step by step.
public typealias Trainer = StepTrainer<LanguageModelObjective>

extension StepTrainer where Objective == LanguageModelObjective {
    /// What a trainer of language models needs besides the model.
    public typealias Options = LanguageModelStepOptions

    /// A trainer at step 0; makes all parameters require gradients.
    ///
    /// Throws `MixerError` when the model lacks the form, and `TorchError`.
    public convenience init(
        _ model: LanguageModel, source: any BatchSource, options: LanguageModelStepOptions = .init()
    ) throws {
        try self.init(
            objective: LanguageModelObjective(
                model, source: source, form: options.form, carriesState: options.carriesState),
            options: options.steps)
    }

    /// The model in training.
    public var model: LanguageModel { objective.model }
    /// The state after the last window of every row, in contiguous mode.
    public var carriedState: LanguageModelState? { objective.carriedState }
}
