import RetNetReporting
import RetNetStorage

/// Shows a training run on standard error: a progress bar, validations, samples of text and warnings.
public final class ProgressObserver: TrainingObserver {
    private let title: String
    private var bar: ProgressBar?
    private var speed = RecentSpeed()
    private var peakMemoryByteCount: Int?

    /// An observer that shows the run under a title.
    public init(title: String = "training") { self.title = title }

    /// Starts the bar.
    public func trainingDidStart(startStep: Int, stepCount: Int) throws {
        bar = ProgressBar(title: title, total: stepCount, startStep: startStep)
    }

    /// Moves the bar and shows the figures of the step next to it, whatever the interval of the records.
    public func trainingDidStep(_ step: TrainingStep) throws {
        speed.add(seconds: step.seconds, tokenCount: step.tokenCount)
        bar?.update(step: step.step, makeMetrics: metrics(of: step))
    }

    /// Returns a function that makes the figures next to the bar.
    func metrics(of step: TrainingStep) -> @Sendable () -> [ProgressMetric] {
        let peak = peakMemoryByteCount ?? ProcessMemory.peakByteCount
        peakMemoryByteCount = peak
        let tokensPerSecond = speed.tokensPerSecond
        return {
            let accuracy =
                step.accuracy.map { [ProgressMetric.value("acc", $0, significantDigits: 3)] } ?? []
            return [.value("loss", step.loss)] + accuracy + [
                .rate(tokensPerSecond, unit: "tok/s"),
                .value("lr", step.learningRate, significantDigits: 3),
                .value("norm", step.gradientNorm, significantDigits: 3), .bytes(peak),
            ]
        }
    }

    /// Takes the peak memory, which would be slow to look up at every step of a small model.
    public func trainingDidLog(_ metrics: TrainingMetrics) throws {
        peakMemoryByteCount = metrics.peakMemoryByteCount
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

/// The training speed of the latest steps; each counts nine tenths as much as the one after it.
struct RecentSpeed {
    private var seconds = 0.0
    private var tokenCount = 0.0

    /// Tokens per second; 0 before the first step.
    var tokensPerSecond: Double { seconds > 0 ? tokenCount / seconds : 0 }

    mutating func add(seconds: Double, tokenCount: Int) {
        self.seconds = 0.9 * self.seconds + seconds
        self.tokenCount = 0.9 * self.tokenCount + Double(tokenCount)
    }
}
