import Foundation
import RetNetSystem
import SystemPackage

/// A progress bar on standard error.
///
/// On a terminal one line is redrawn at most ten times per second. Elsewhere plain lines are written at
/// intervals, so that log files stay readable. All methods may be called from any thread.
public final class ProgressBar: Sendable {
    private struct State {
        var line: ProgressLine
        /// The newest metrics, made into text only when they are drawn.
        var makeMetrics: (@Sendable () -> [ProgressMetric])?
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

    /// Creates a progress bar for `total` steps; `nil` if their number is not known.
    ///
    /// `startStep` is the step at which a resumed run begins, so that only new steps count for the speed.
    /// `plainIntervalSeconds` is the time between two lines if standard error is not a terminal.
    public convenience init(
        title: String, total: Int?, startStep: Int = 0, plainIntervalSeconds: Double = 30,
        unit: ProgressUnit = .count
    ) {
        let start = ContinuousClock.now
        self.init(
            title: title, total: total, startStep: startStep, plainIntervalSeconds: plainIntervalSeconds,
            unit: unit,
            terminal: .standardError(),
            now: { (ContinuousClock.now - start) / .seconds(1) })
    }

    /// Creates a progress bar with a terminal and a clock, which tests replace.
    init(
        title: String, total: Int?, startStep: Int = 0, plainIntervalSeconds: Double = 30,
        unit: ProgressUnit = .count, terminal: Terminal, now: @escaping @Sendable () -> Double
    ) {
        self.terminal = terminal
        self.now = now
        plainInterval = plainIntervalSeconds
        startTime = now()
        let line = ProgressLine(title: title, step: startStep, total: total, unit: unit)
        state = Locked(
            State(
                line: line, rate: RateEstimator(time: startTime, step: startStep),
                lastTenth: Self.tenth(of: line)))
    }

    /// Updates the step and the metrics; without metrics the previous ones are kept.
    public func update(step: Int, metrics: [ProgressMetric]? = nil) {
        guard let metrics else { return update(step: step, makeMetrics: nil) }
        update(step: step, makeMetrics: { metrics })
    }

    /// Updates the step and the metrics, for steps so short that making texts of all of them would cost time.
    ///
    /// `makeMetrics` is called when the bar is drawn, possibly later and on another thread, or never.
    public func update(step: Int, makeMetrics: (@Sendable () -> [ProgressMetric])?) {
        state.withLock { state in
            guard !state.isFinished else { return }
            let time = now()
            state.line.step = step
            if let makeMetrics { state.makeMetrics = makeMetrics }
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

    /// Draws the final state and ends the line; later updates are ignored.
    public func finish() {
        state.withLock { state in
            guard !state.isFinished else { return }
            let time = now()
            state.line.secondsLeft = nil
            state.isFinished = true
            // The same plain line is not written twice in a row.
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
        if let makeMetrics = state.makeMetrics {
            state.line.metrics = makeMetrics()
            state.makeMetrics = nil
        }
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

/// A quantity shown next to a progress bar.
public struct ProgressMetric: Sendable, Hashable {
    /// Text as shown, for example `loss 1.234`.
    public let text: String

    /// Creates a metric from its text.
    public init(_ text: String) {
        self.text = text
    }

    /// Returns a named number, for example `loss 1.234`.
    public static func value(_ name: String, _ value: Double, significantDigits: Int = 4) -> ProgressMetric {
        ProgressMetric("\(name) \(Format.number(value, significantDigits: significantDigits))")
    }

    /// Returns a rate with its unit, for example `12.3k tok/s`.
    public static func rate(_ value: Double, unit: String) -> ProgressMetric {
        ProgressMetric("\(Format.count(value)) \(unit)")
    }

    /// Returns an amount of memory or storage, for example `3.1 GiB`.
    public static func bytes(_ byteCount: Int) -> ProgressMetric {
        ProgressMetric(Format.bytes(byteCount))
    }
}

/// The terminal or file to which standard error is connected.
struct Terminal: Sendable {
    /// True if standard error is a terminal: lines can be redrawn.
    let isInteractive: Bool
    /// True if colors, escape sequences and characters beyond ASCII are allowed.
    let isRich: Bool
    /// Current width in columns, which may change while the program runs.
    let width: @Sendable () -> Int
    /// Writes text as it is.
    let show: @Sendable (String) -> Void

    /// Standard error of this process.
    static func standardError(environment: [String: String] = ProcessInfo.processInfo.environment)
        -> Terminal
    {
        Terminal(
            isInteractive: FileDescriptor.standardError.isTerminal,
            isRich: allowsRichText(environment: environment),
            width: { FileDescriptor.standardError.columnCount ?? 80 },
            // A failure of standard error must not stop the work.
            show: { _ = try? FileDescriptor.standardError.writeAll($0.utf8) })
    }

    /// Applies the conventions of `NO_COLOR` (present and not empty) and `TERM=dumb`.
    static func allowsRichText(environment: [String: String]) -> Bool {
        let noColor = environment["NO_COLOR"].map { !$0.isEmpty } ?? false
        return !noColor && environment["TERM"] != "dumb"
    }
}
