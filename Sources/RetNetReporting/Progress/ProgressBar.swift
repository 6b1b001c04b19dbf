import Foundation

/// Shows on standard error how far a long piece of work has got.
///
/// On a terminal one line is redrawn at most ten times a second. Elsewhere a plain line is written now
/// and then, so that log files stay readable. All methods may be called from any thread.
public final class ProgressBar: Sendable {
    private struct State {
        var line: ProgressLine
        var rate: RateEstimator
        var lastDrawn: Double?
        var lastTenth: Int
        var drawnStep: Int?
        var drawnWidth = 0
        var isFinished = false
    }

    private static let redrawInterval = 0.1
    private static let milestoneInterval = 1.0

    private let terminal: Terminal
    private let now: @Sendable () -> Double
    private let startTime: Double
    private let plainInterval: Double
    private let state: Locked<State>

    /// Makes a progress bar for `total` steps, or for an unknown amount of work when it is `nil`.
    ///
    /// `startStep` is the step a resumed run begins at, so that only new work counts for the speed.
    /// `plainIntervalSeconds` is the time between two lines where standard error is no terminal.
    public convenience init(
        title: String, total: Int?, startStep: Int = 0, plainIntervalSeconds: Double = 30
    ) {
        let start = ContinuousClock.now
        self.init(
            title: title, total: total, startStep: startStep, plainIntervalSeconds: plainIntervalSeconds,
            terminal: .standardError(),
            now: { (ContinuousClock.now - start) / .seconds(1) })
    }

    /// Makes a progress bar with its own terminal and clock, both replaceable by tests.
    init(
        title: String, total: Int?, startStep: Int = 0, plainIntervalSeconds: Double = 30,
        terminal: Terminal, now: @escaping @Sendable () -> Double
    ) {
        self.terminal = terminal
        self.now = now
        plainInterval = plainIntervalSeconds
        startTime = now()
        let line = ProgressLine(title: title, step: startStep, total: total)
        state = Locked(
            State(
                line: line, rate: RateEstimator(time: startTime, step: startStep),
                lastTenth: Self.tenth(of: line)))
    }

    /// Tells the present step and the metrics to show; without metrics, the former ones stay.
    public func update(step: Int, metrics: [ProgressMetric]? = nil) {
        state.withLock { state in
            guard !state.isFinished else { return }
            let time = now()
            state.line.step = step
            if let metrics { state.line.metrics = metrics }
            state.rate.record(time: time, step: step)
            guard isDue(state, time: time) else { return }
            draw(&state, time: time)
        }
    }

    /// Writes a line of text above the bar.
    public func log(_ message: String) {
        state.withLock { state in
            guard terminal.isInteractive, !state.isFinished, state.lastDrawn != nil else {
                terminal.show(message + "\n")
                return
            }
            terminal.show(erasure(state) + message + "\n")
            state.drawnWidth = 0
            draw(&state, time: now())
        }
    }

    /// Draws the last state for good and ends the line; later updates are ignored.
    public func finish() {
        state.withLock { state in
            guard !state.isFinished else { return }
            let time = now()
            state.line.secondsLeft = nil
            state.isFinished = true
            // The same plain line twice in a row would only lengthen a log file.
            if !terminal.isInteractive, let last = state.lastDrawn, state.drawnStep == state.line.step,
                time - last < Self.milestoneInterval
            {
                return
            }
            draw(&state, time: time)
            if terminal.isInteractive { terminal.show("\n") }
        }
    }

    private func isDue(_ state: State, time: Double) -> Bool {
        guard let last = state.lastDrawn else { return true }
        let waited = time - last
        if terminal.isInteractive { return waited >= Self.redrawInterval }
        if waited >= plainInterval { return true }
        return waited >= Self.milestoneInterval && Self.tenth(of: state.line) != state.lastTenth
    }

    private func draw(_ state: inout State, time: Double) {
        state.lastDrawn = time
        state.drawnStep = state.line.step
        state.lastTenth = Self.tenth(of: state.line)
        state.line.elapsedSeconds = time - startTime
        if !state.isFinished, let total = state.line.total {
            state.line.secondsLeft = state.rate.secondsLeft(step: state.line.step, total: total)
        }
        guard terminal.isInteractive else {
            terminal.show(state.line.plain() + "\n")
            return
        }
        let text = state.line.bar(width: terminal.width(), isRich: terminal.isRich)
        if terminal.isRich {
            terminal.show("\r" + text + "\u{1B}[K")
        } else {
            let width = DisplayWidth.of(text)
            let padding = String(repeating: " ", count: max(0, state.drawnWidth - width))
            terminal.show("\r" + text + padding)
            state.drawnWidth = width
        }
    }

    private func erasure(_ state: State) -> String {
        if terminal.isRich { return "\r\u{1B}[K" }
        return "\r" + String(repeating: " ", count: state.drawnWidth) + "\r"
    }

    private static func tenth(of line: ProgressLine) -> Int {
        line.fraction.map { Int($0 * 10) } ?? 0
    }
}
