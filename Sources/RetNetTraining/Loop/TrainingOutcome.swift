/// How a training run ended, and what it reached.
public struct TrainingOutcome: Sendable, Equatable {
    /// Why the run ended.
    public enum Reason: String, Sendable {
        /// All steps were made.
        case finished
        /// A stop was asked for; the run can be resumed.
        case interrupted
    }

    /// Why the run ended.
    public var reason: Reason
    /// How many steps have been made in the whole run.
    public var step: Int
    /// The mean loss of the last step in nats per token, or nil when no step was made.
    public var loss: Double?
    /// The last validation, if there was one.
    public var validation: ValidationRecord?
    /// The newest checkpoint, which is a model folder.
    public var checkpointPath: String
}
