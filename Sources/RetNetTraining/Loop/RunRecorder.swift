import Foundation
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
        ].compactMap { name, value in value.map { (name, $0) } }
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
