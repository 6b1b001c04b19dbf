import RetNetModels
import RetNetText

/// Trains a T5 step by step.
public typealias T5Trainer = StepTrainer<T5Objective>

extension StepTrainer where Objective == T5Objective {
    /// A trainer at step 0; makes all parameters require gradients.
    ///
    /// Throws `TorchError`.
    public convenience init(
        _ model: T5Model, source: any TextToTextSource, zLoss: Double = T5Model.standardZLoss,
        options: StepOptions = .init()
    ) throws {
        try self.init(objective: T5Objective(model, source: source, zLoss: zLoss), options: options)
    }

    /// The model in training.
    public var model: T5Model { objective.model }
}
