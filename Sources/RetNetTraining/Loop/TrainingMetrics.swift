import RetNetReporting

/// The metrics of one logged step.
public struct TrainingMetrics: Sendable, Equatable {
    /// The number of the step.
    public var step: Int
    /// Seconds since 1970.
    public var time: Double
    /// How many targets have counted in the whole run.
    public var tokenCount: Int
    /// Loss of this step in nats per token.
    public var loss: Double
    /// The share of this step's targets that had the largest logit; nil where that is not counted.
    public var accuracy: Double?
    /// Loss of this step in bits per byte, by the mean number of bytes a token of the training text stands for.
    ///
    /// Nil where targets are not a text from start to end.
    public var bitsPerByte: Double?
    /// Learning rate of this step.
    public var learningRate: Double
    /// Global norm of the gradients before clipping.
    public var gradientNorm: Double
    /// Training tokens per second since the last record; validation and saving do not count.
    public var tokensPerSecond: Double
    /// The most memory the process has held so far, in bytes.
    public var peakMemoryByteCount: Int
    /// Estimated seconds until the last step, or nil when nothing is known yet.
    public var secondsLeft: Double?
    /// How many updates have been skipped in the whole run.
    public var skippedCount: Int
    /// Losses that layers added to the model's own, and what else they noted, by name.
    public var auxiliary: [String: Double] = [:]

    /// The record as a line of `metrics.jsonl`.
    var record: [(key: String, value: RecordValue)] {
        let own: KeyValuePairs<String, RecordValue> = [
            "step": .int(step), "time": .double(time), "tokens": .int(tokenCount), "loss": .double(loss),
            "learning_rate": .double(learningRate),
            "grad_norm": .double(gradientNorm), "tokens_per_second": .double(tokensPerSecond),
            "peak_memory_bytes": .int(peakMemoryByteCount),
            "seconds_left": secondsLeft.map { .double($0) } ?? .null, "skipped": .int(skippedCount),
        ]
        return own.map { ($0.key, $0.value) } + measures.map { ($0.name, .double($0.value)) }
            + sortedAuxiliary.map { ($0.name, .double($0.value)) }
    }

    /// The figures that only some runs have.
    private var measures: [(name: String, value: Double)] {
        [("bits_per_byte", bitsPerByte), ("accuracy", accuracy)].compactMap { name, value in
            value.map { (name, $0) }
        }
    }

    private var sortedAuxiliary: [(name: String, value: Double)] {
        auxiliary.sorted { $0.key < $1.key }.map { (name: $0.key, value: $0.value) }
    }

    /// The record as TensorBoard scalars.
    var scalars: [(tag: String, value: Double)] {
        [
            ("train/loss", loss), ("train/learning_rate", learningRate),
            ("train/grad_norm", gradientNorm), ("throughput/tokens_per_second", tokensPerSecond),
            ("memory/peak_bytes", Double(peakMemoryByteCount)),
        ] + (measures + sortedAuxiliary).map { ("train/\($0.name)", $0.value) }
    }
}
