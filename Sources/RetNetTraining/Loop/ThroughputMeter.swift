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
