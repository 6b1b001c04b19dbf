import RetNetSettings

/// How often a run is measured, shown and saved; none of it changes the course of the run.
public struct MonitoringConfiguration: Sendable, Equatable {
    /// `log.every`: steps from one record of the metrics to the next, 10 by default.
    public var logInterval = 10
    /// `evaluation.every`: steps from one validation to the next, 200 by default; 0: only at the end.
    public var evaluationInterval = 200
    /// `evaluation.batches`: batches of one validation, 20 by default.
    public var evaluationBatchCount = 20
    /// `sample.every`: steps from one sample of text to the next, 200 by default; 0 writes none.
    public var sampleInterval = 200
    /// `sample.prompt`: how every sample begins.
    public var samplePrompt = ""
    /// `sample.tokens`: tokens of one sample, 100 by default.
    public var sampleTokenCount = 100
    /// `checkpoint.every`: steps from one checkpoint to the next, 500 by default; 0: only at the end.
    public var checkpointInterval = 500
    /// `checkpoint.keep_last`: how many checkpoints are kept, 3 by default; 0 keeps all.
    public var keptCheckpointCount = 3

    /// The defaults.
    public init() {}

    /// Reads `log`, `evaluation`, `sample` and `checkpoint`, keeping present values where none are given.
    init(_ reader: SettingsReader, defaults: MonitoringConfiguration = .init()) {
        self = defaults
        let interval = 0...1_000_000_000
        if let log = reader.optionalObject("log") {
            logInterval = log.int("every", in: 1...1_000_000_000, default: logInterval)
        }
        if let evaluation = reader.optionalObject("evaluation") {
            evaluationInterval = evaluation.int("every", in: interval, default: evaluationInterval)
            evaluationBatchCount = evaluation.int("batches", in: 1...1_000_000, default: evaluationBatchCount)
        }
        if let sample = reader.optionalObject("sample") {
            sampleInterval = sample.int("every", in: interval, default: sampleInterval)
            samplePrompt = sample.string("prompt", default: samplePrompt)
            sampleTokenCount = sample.int("tokens", in: 1...1_000_000, default: sampleTokenCount)
        }
        if let checkpoint = reader.optionalObject("checkpoint") {
            checkpointInterval = checkpoint.int("every", in: interval, default: checkpointInterval)
            keptCheckpointCount = checkpoint.int("keep_last", in: 0...1_000_000, default: keptCheckpointCount)
        }
    }

    /// The settings as they are written to files, to be merged into the whole.
    public var settings: SettingsTree {
        [
            "log": ["every": .int(logInterval)],
            "evaluation": ["every": .int(evaluationInterval), "batches": .int(evaluationBatchCount)],
            "sample": [
                "every": .int(sampleInterval), "prompt": .string(samplePrompt),
                "tokens": .int(sampleTokenCount),
            ],
            "checkpoint": ["every": .int(checkpointInterval), "keep_last": .int(keptCheckpointCount)],
        ]
    }
}
