/// Estimates the time per step from the recent past.
///
/// The estimate is the median over a window of short intervals. A pause (a checkpoint being written, a
/// suspended machine) falls into one interval and so does not move it, while a lasting change of speed
/// takes over once it fills half of the window.
struct RateEstimator: Sendable {
    private let intervalSeconds: Double
    private let windowLength: Int
    private var samples: [Double] = []
    private var next = 0
    private var lastTime: Double
    private var lastStep: Int

    init(time: Double, step: Int, intervalSeconds: Double = 0.25, windowLength: Int = 31) {
        self.intervalSeconds = intervalSeconds
        self.windowLength = max(windowLength, 1)
        lastTime = time
        lastStep = step
    }

    /// Tells that `step` was reached at `time`, in seconds of a steady clock.
    mutating func record(time: Double, step: Int) {
        guard step > lastStep else {
            // Going back (a restart of the counter) begins a new interval.
            if step < lastStep {
                lastStep = step
                lastTime = time
            }
            return
        }
        let elapsed = time - lastTime
        guard elapsed >= intervalSeconds else { return }
        let sample = elapsed / (Double(step) - Double(lastStep))
        if samples.count < windowLength {
            samples.append(sample)
        } else {
            samples[next] = sample
            next = (next + 1) % windowLength
        }
        lastTime = time
        lastStep = step
    }

    /// Seconds per step, or `nil` while too little is known.
    var secondsPerStep: Double? {
        guard !samples.isEmpty else { return nil }
        let sorted = samples.sorted()
        let middle = sorted.count / 2
        return sorted.count % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
    }

    /// Seconds left until `total` is reached from `step`, or `nil` while too little is known.
    func secondsLeft(step: Int, total: Int) -> Double? {
        guard let secondsPerStep else { return nil }
        return max(0, Double(total) - Double(step)) * secondsPerStep
    }
}
