/// What the steps of a progress bar are.
public enum ProgressUnit: Sendable {
    /// Steps, written as numbers.
    case count
    /// Bytes, written with binary units.
    case bytes
}

/// The text of a state of a progress bar.
struct ProgressLine: Sendable {
    var title: String
    var step: Int
    /// Number of steps; `nil` if it is not known.
    var total: Int?
    var unit = ProgressUnit.count
    var metrics: [ProgressMetric] = []
    var elapsedSeconds: Double = 0
    var secondsLeft: Double?

    private static let smallestBar = 10
    private static let largestBar = 40

    /// Fraction of the steps done, from 0 to 1; `nil` if the total is not known.
    var fraction: Double? {
        guard let total else { return nil }
        return total > 0 ? min(max(Double(step) / Double(total), 0), 1) : 1
    }

    /// Returns a line for a terminal of `width` columns, at most `width - 1` long so that it never wraps.
    ///
    /// If space is short, the bar shrinks first; then the last metrics, the times and the title are dropped.
    func bar(width: Int, isRich: Bool) -> String {
        let room = max(width - 1, 1)
        for layout in candidates() {
            let used = layout.reduce(0) { $0 + DisplayWidth.of($1) } + 2 * max(layout.count - 1, 0)
            guard fraction != nil else {
                if used <= room { return layout.joined(separator: "  ") }
                continue
            }
            // The bar is preceded by a separator of two columns.
            let free = room - used - 2
            guard free >= Self.smallestBar else { continue }
            var parts = layout
            let drawn = drawBar(length: min(free, Self.largestBar), isRich: isRich)
            let place = parts.firstIndex { $0 == percentText }.map { $0 + 1 } ?? 0
            parts.insert(drawn, at: place)
            return parts.joined(separator: "  ")
        }
        return DisplayWidth.truncate(
            [percentText, counterText].filter { !$0.isEmpty }.joined(separator: " "), to: room)
    }

    /// Returns a line for a log file, without bar and control characters.
    func plain() -> String {
        var parts = title.isEmpty ? [] : [Self.clean(title)]
        parts.append(fraction == nil ? counterText : "\(counterText) (\(percentText))")
        parts += metrics.map { Self.clean($0.text) }
        parts.append(timesText)
        return parts.joined(separator: "  ")
    }

    private func candidates() -> [[String]] {
        let head = title.isEmpty ? [] : [Self.clean(title)]
        let core = fraction == nil ? [counterText] : [percentText, counterText]
        let texts = metrics.map { Self.clean($0.text) }
        var result = (0...texts.count).reversed().map { head + core + texts.prefix($0) + [timesText] }
        result += [head + core, core]
        return result
    }

    private var percentText: String {
        guard let fraction else { return "" }
        // Rounded down: "100%" means that all steps are done.
        let text = "\(Int((fraction * 100).rounded(.down)))%"
        return String(repeating: " ", count: max(0, 4 - text.count)) + text
    }

    private var counterText: String {
        guard let total else { return text(step) }
        return "\(text(step))/\(text(total))"
    }

    private func text(_ count: Int) -> String {
        unit == .bytes ? Format.bytes(count) : Format.grouped(count)
    }

    private var timesText: String {
        let elapsed = Format.clock(seconds: elapsedSeconds) + " elapsed"
        guard let secondsLeft else { return elapsed }
        return elapsed + ", " + Format.clock(seconds: secondsLeft) + " left"
    }

    private func drawBar(length: Int, isRich: Bool) -> String {
        let fraction = fraction ?? 0
        guard isRich else {
            let inner = max(length - 2, 1)
            let full = Int((fraction * Double(inner)).rounded(.down))
            return "[" + String(repeating: "#", count: full)
                + String(repeating: "-", count: inner - full) + "]"
        }
        // Heavy and light lines of the box-drawing block, with half cells.
        let halves = Int((fraction * Double(2 * length)).rounded(.down))
        let full = halves / 2
        var done = String(repeating: "\u{2501}", count: full)
        var rest = length - full
        if halves % 2 == 1 {
            done += "\u{2578}"
            rest -= 1
        }
        let color = fraction >= 1 ? "32" : "36"
        return "\u{1B}[\(color)m\(done)\u{1B}[0m\u{1B}[2m"
            + String(repeating: "\u{2500}", count: rest) + "\u{1B}[0m"
    }

    /// Returns text without control characters, which would break the redrawing.
    static func clean(_ text: String) -> String {
        String(text.map { $0.unicodeScalars.contains { $0.value < 32 || $0.value == 127 } ? " " : $0 })
    }
}

/// An estimator of the time per step from the recent past.
///
/// The estimate is the median over a window of short intervals, each of which counts as much as it has steps. A pause
/// (writing of a checkpoint, a suspended machine) affects only one interval, while a lasting change of speed determines the
/// estimate as soon as it has half of the steps of the window.
struct RateEstimator: Sendable {
    private let intervalSeconds: Double
    private let windowLength: Int
    private var samples: [(secondsPerStep: Double, steps: Double)] = []
    private var next = 0
    private var lastTime: Double
    private var lastStep: Int

    init(time: Double, step: Int, intervalSeconds: Double = 0.25, windowLength: Int = 31) {
        self.intervalSeconds = intervalSeconds
        self.windowLength = max(windowLength, 1)
        lastTime = time
        lastStep = step
    }

    /// Records that `step` was reached at `time`, in seconds of a monotonic clock.
    mutating func record(time: Double, step: Int) {
        guard step > lastStep else {
            // A smaller step (a restart of the counter) begins a new interval.
            if step < lastStep {
                lastStep = step
                lastTime = time
            }
            return
        }
        let elapsed = time - lastTime
        guard elapsed >= intervalSeconds else { return }
        let steps = Double(step) - Double(lastStep)
        let sample = (secondsPerStep: elapsed / steps, steps: steps)
        if samples.count < windowLength {
            samples.append(sample)
        } else {
            samples[next] = sample
            next = (next + 1) % windowLength
        }
        lastTime = time
        lastStep = step
    }

    /// Seconds per step; `nil` before the first interval.
    var secondsPerStep: Double? {
        let sorted = samples.sorted { $0.secondsPerStep < $1.secondsPerStep }
        let half = sorted.reduce(0) { $0 + $1.steps } / 2
        var sum = 0.0
        for (index, sample) in sorted.enumerated() {
            sum += sample.steps
            if sum == half, index + 1 < sorted.count {
                return (sample.secondsPerStep + sorted[index + 1].secondsPerStep) / 2
            }
            if sum >= half { return sample.secondsPerStep }
        }
        return nil
    }

    /// Returns the seconds left until `total` is reached from `step`; `nil` before the first interval.
    func secondsLeft(step: Int, total: Int) -> Double? {
        guard let secondsPerStep else { return nil }
        return max(0, Double(total) - Double(step)) * secondsPerStep
    }
}
