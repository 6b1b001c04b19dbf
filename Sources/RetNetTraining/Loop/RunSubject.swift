/// What the loop of a run leaves to the kind of model: files, validations and samples.
protocol RunSubject: AnyObject {
    associatedtype Objective: TrainingObjective

    /// Makes the steps.
    var trainer: StepTrainer<Objective> { get }
    /// How often the run is measured, shown and saved.
    var monitoring: MonitoringConfiguration { get }
    /// Steps of the whole run.
    var stepCount: Int { get }
    /// Whether there is text that is never trained on.
    var hasValidation: Bool { get }

    /// A loss in nats per token in bits per byte, where that means something.
    func bitsPerByte(loss: Double) -> Double?
    /// Measures what is never trained on.
    func measureValidation() throws -> ValidationRecord
    /// A text that the model makes, the same for the same weights; the run itself must not notice.
    func makeSample() throws -> String
    /// Writes the files of a model folder.
    func writeModel(into folder: String) throws
}
