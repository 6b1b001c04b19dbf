import RetNetSettings

/// The intervals of metrics, validation, samples and checkpoints; none of it changes the course of a run.
///
/// `log`, `evaluation`, `sample` and `checkpoint` in a run's configuration.
public struct MonitoringConfiguration: DeclaredSettings, Sendable, Equatable {
    /// Steps between records of the metrics.
    public var logInterval = 10
    /// Steps between validations; 0: only at the end.
    public var evaluationInterval = 200
    /// Batches of one validation.
    public var evaluationBatchCount = 20
    /// Steps between samples of text; 0 writes none.
    public var sampleInterval = 200
    /// Beginning of every sample.
    public var samplePrompt = ""
    /// Tokens of one sample.
    public var sampleTokenCount = 100
    /// Steps between checkpoints; 0: only at the end.
    public var checkpointInterval = 500
    /// Checkpoints that are kept; 0 keeps all.
    public var keptCheckpointCount = 3

    /// The defaults.
    public init() {}

    /// The defaults.
    public static let standard = MonitoringConfiguration()

    /// The four objects with their settings.
    public static var declarations: [Setting<Self>] {
        let interval = 0...1_000_000_000
        return [
            .group(
                "log",
                [.int("every", \.logInterval, in: 1...1_000_000_000, "Steps between records of the metrics.")]
            ),
            .group(
                "evaluation",
                [
                    .int(
                        "every", \.evaluationInterval, in: interval,
                        "Steps between validations; 0: only at the end."),
                    .int("batches", \.evaluationBatchCount, in: 1...1_000_000, "Batches of one validation."),
                ]),
            .group(
                "sample",
                [
                    .int(
                        "every", \.sampleInterval, in: interval, "Steps between samples of text; 0: none."),
                    .string("prompt", \.samplePrompt, "Beginning of every sample."),
                    .int("tokens", \.sampleTokenCount, in: 1...1_000_000, "Tokens of one sample."),
                ]),
            .group(
                "checkpoint",
                [
                    .int(
                        "every", \.checkpointInterval, in: interval,
                        "Steps between checkpoints; 0: only at the end."),
                    .int(
                        "keep_last", \.keptCheckpointCount, in: 0...1_000_000,
                        "Checkpoints that are kept; 0 keeps all."),
                ]),
        ]
    }
}
