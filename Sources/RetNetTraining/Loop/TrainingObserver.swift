/// Hears of everything that happens in a training run; errors thrown here end the run.
public protocol TrainingObserver: AnyObject {
    /// A run begins, or continues after `startStep` steps.
    func trainingDidStart(startStep: Int, stepCount: Int) throws
    /// A step is done; called for every step.
    func trainingDidStep(_ step: TrainingStep) throws
    /// A record of metrics was written; called every `log.every` steps.
    func trainingDidLog(_ metrics: TrainingMetrics) throws
    /// A validation is done.
    func trainingDidValidate(_ record: ValidationRecord, isBest: Bool) throws
    /// A sample of text was generated, the prompt included.
    func trainingDidSample(step: Int, text: String) throws
    /// A checkpoint is on the disk.
    func trainingDidSave(step: Int, path: String) throws
    /// Something noteworthy happened that does not end the run.
    func trainingDidWarn(_ message: String) throws
    /// The run ends; not called when it ends with an error.
    func trainingDidEnd(_ outcome: TrainingOutcome) throws
}

extension TrainingObserver {
    /// Does nothing.
    public func trainingDidStart(startStep: Int, stepCount: Int) throws {}
    /// Does nothing.
    public func trainingDidStep(_ step: TrainingStep) throws {}
    /// Does nothing.
    public func trainingDidLog(_ metrics: TrainingMetrics) throws {}
    /// Does nothing.
    public func trainingDidValidate(_ record: ValidationRecord, isBest: Bool) throws {}
    /// Does nothing.
    public func trainingDidSample(step: Int, text: String) throws {}
    /// Does nothing.
    public func trainingDidSave(step: Int, path: String) throws {}
    /// Does nothing.
    public func trainingDidWarn(_ message: String) throws {}
    /// Does nothing.
    public func trainingDidEnd(_ outcome: TrainingOutcome) throws {}
}
