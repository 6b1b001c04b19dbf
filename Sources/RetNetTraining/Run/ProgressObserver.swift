import RetNetReporting

/// Shows a training run on standard error: a progress bar, validations, samples of text and warnings.
public final class ProgressObserver: TrainingObserver {
    private let title: String
    private var bar: ProgressBar?

    /// An observer that shows the run under a title.
    public init(title: String = "training") { self.title = title }

    /// Starts the bar.
    public func trainingDidStart(startStep: Int, stepCount: Int) throws {
        bar = ProgressBar(title: title, total: stepCount, startStep: startStep)
    }

    /// Moves the bar.
    public func trainingDidStep(_ step: TrainingStep) throws { bar?.update(step: step.step) }

    /// Shows the metrics next to the bar.
    public func trainingDidLog(_ metrics: TrainingMetrics) throws {
        let accuracy = metrics.accuracy.map { [ProgressMetric.value("acc", $0, significantDigits: 3)] } ?? []
        bar?.update(
            step: metrics.step,
            metrics: [.value("loss", metrics.loss)] + accuracy + [
                .rate(metrics.tokensPerSecond, unit: "tok/s"),
                .value("lr", metrics.learningRate, significantDigits: 3),
                .value("norm", metrics.gradientNorm, significantDigits: 3),
                .bytes(metrics.peakMemoryByteCount),
            ])
    }

    /// Writes one line.
    public func trainingDidValidate(_ record: ValidationRecord, isBest: Bool) throws {
        bar?.log("step \(record.step): \(record.summary)" + (isBest ? " (best so far)" : ""))
    }

    /// Writes the text, indented.
    public func trainingDidSample(step: Int, text: String) throws {
        let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
        bar?.log("step \(step): sample\n" + lines.map { "    " + $0 }.joined(separator: "\n"))
    }

    /// Writes one line.
    public func trainingDidSave(step: Int, path: String) throws { bar?.log("step \(step): saved \(path)") }

    /// Writes one line.
    public func trainingDidWarn(_ message: String) throws { bar?.log("warning: \(message)") }

    /// Ends the bar.
    public func trainingDidEnd(_ outcome: TrainingOutcome) throws { bar?.finish() }
}
