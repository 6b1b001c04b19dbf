import Foundation
import RetNetCheckpoints
import RetNetPlots
import RetNetReporting

/// Writes what happens in a run into its folder: metrics, TensorBoard events and the loss curve.
final class RunRecorder {
    private let folder: RunFolder
    private let log: JSONLinesLog
    private let events: TensorBoardLog
    private var losses: [ChartPoint] = []
    private var validations: [ChartPoint] = []
    private var lastDrawing = ContinuousClock.now

    /// Opens the logs; records after `resumedStep` are dropped, so that a resumed run writes none twice.
    init(folder: RunFolder, resumedStep: Int?) throws {
        self.folder = folder
        log = try JSONLinesLog(path: folder.metricsPath)
        if let resumedStep {
            try log.truncate(afterStep: resumedStep)
            for record in try JSONLinesLog.records(at: folder.metricsPath) {
                guard let step = record["step"]?.intValue.map(Double.init) else { continue }
                if let loss = record["loss"]?.doubleValue { losses.append(ChartPoint(step, loss)) }
                if let loss = record["validation_loss"]?.doubleValue {
                    validations.append(ChartPoint(step, loss))
                }
            }
        }
        events = try TensorBoardLog(directory: folder.tensorBoardPath, resumedStep: resumedStep)
    }

    func write(_ metrics: TrainingMetrics) throws {
        try log.append(metrics.record)
        try events.scalars(metrics.scalars, step: metrics.step, wallTime: metrics.time)
        losses.append(ChartPoint(Double(metrics.step), metrics.loss))
    }

    func write(_ validation: ValidationRecord) throws {
        let time = Date().timeIntervalSince1970
        let figures: [(name: String, value: Double)] = [
            ("loss", validation.loss), ("perplexity", validation.perplexity),
            ("bits_per_byte", validation.bitsPerByte), ("accuracy", validation.accuracy),
        ].compactMap { name, value in value.flatMap { $0.isFinite ? (name, $0) : nil } }
        var record: [(key: String, value: RecordValue)] = [
            ("step", .int(validation.step)), ("time", .double(time)),
        ]
        record += figures.map { ("validation_" + $0.name, .double($0.value)) }
        record.append(("validation_tokens", .int(validation.tokenCount)))
        try log.append(record)
        try events.scalars(
            figures.map { ("validation/" + $0.name, $0.value) }, step: validation.step, wallTime: time)
        validations.append(ChartPoint(Double(validation.step), validation.loss))
    }

    func write(sample text: String, step: Int) throws {
        try log.append([
            "step": .int(step), "time": .double(Date().timeIntervalSince1970), "sample": .string(text),
        ])
        try events.text("sample", text, step: step)
    }

    func write(skippedStep step: Int, reason: String) throws {
        try log.append([
            "step": .int(step), "time": .double(Date().timeIntervalSince1970),
            "skipped_because": .string(reason),
        ])
    }

    /// Draws the loss curve of the whole run, if there has been time since the last drawing or it is `final`.
    func drawLossCurve(final: Bool) throws {
        guard !losses.isEmpty else { return }
        // Checkpoints of small models follow each other faster than pictures are worth drawing.
        let now = ContinuousClock.now
        if !final, now - lastDrawing < .seconds(10) { return }
        lastDrawing = now
        // The shorter the run, the less there is to smooth.
        let smoothing = losses.count < 40 ? 0 : losses.count < 400 ? 0.8 : 0.95
        var series = [LineChart.Series.smoothed(name: "training", points: losses, smoothing: smoothing)]
        if !validations.isEmpty {
            series.append(LineChart.Series(name: "validation", points: validations, showsMarkers: true))
        }
        let chart = LineChart(
            title: "Loss", xAxis: ChartAxis("Step"), yAxis: ChartAxis("Loss (nats per token)"), series: series
        )
        try chart.write(to: folder.lossCurveSVGPath)
        try chart.write(to: folder.lossCurvePNGPath)
    }

    func close() {
        log.close()
        events.close()
    }
}

/// The metrics of one logged step.
public struct TrainingMetrics: Sendable, Equatable {
    /// Number of the step.
    public var step: Int
    /// Seconds since 1970.
    public var time: Double
    /// Targets that counted in the whole run so far.
    public var tokenCount: Int
    /// Loss of this step in nats per token.
    public var loss: Double
    /// Share of this step's targets that had the largest logit; nil where that is not counted.
    public var accuracy: Double?
    /// Loss of this step in bits per byte of the source text of its targets.
    ///
    /// Nil where targets are not a text from start to end, or the bytes are not known.
    public var bitsPerByte: Double?
    /// Learning rate of this step.
    public var learningRate: Double
    /// Global norm of the gradients before clipping.
    public var gradientNorm: Double
    /// Training tokens per second since the last record; validation and saving do not count.
    public var tokensPerSecond: Double
    /// Peak memory of the process so far, in bytes.
    public var peakMemoryByteCount: Int
    /// Estimated seconds until the last step, or nil before the first measurement.
    public var secondsLeft: Double?
    /// Updates skipped in the whole run.
    public var skippedCount: Int
    /// Terms added to the loss and other measurements of the layers, by name.
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

    /// Figures that only some runs have.
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

/// Measures training speed between two records of the metrics.
struct ThroughputMeter {
    private var seconds = 0.0
    private var tokenCount = 0
    private var lastStep: Int
    /// Seconds of the latest stretches, for the estimate of the time left.
    private var secondsPerStep: Double?

    init(step: Int) { lastStep = step }

    mutating func add(seconds: Double, tokenCount: Int) {
        self.seconds += seconds
        self.tokenCount += tokenCount
    }

    /// Ends a stretch at a step: its speed, and the estimated seconds for the steps that are left.
    mutating func take(step: Int, stepsLeft: Int) -> (tokensPerSecond: Double, secondsLeft: Double?) {
        let rate = seconds > 0 ? Double(tokenCount) / seconds : 0
        if step > lastStep {
            let latest = seconds / Double(step - lastStep)
            // A moving mean: one slow stretch must not double the estimate.
            secondsPerStep = secondsPerStep.map { 0.7 * $0 + 0.3 * latest } ?? latest
        }
        (seconds, tokenCount, lastStep) = (0, 0, step)
        return (rate, secondsPerStep.map { $0 * Double(stepsLeft) })
    }
}
