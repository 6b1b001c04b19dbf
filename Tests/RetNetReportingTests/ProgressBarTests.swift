import Foundation
import Testing

@testable import RetNetReporting

@Suite("Progress bar")
struct ProgressBarTests {
    /// A terminal and a clock under the control of the test.
    private final class Stage: Sendable {
        private let state = Locked((output: [String](), time: 0.0))

        var output: [String] { state.withLock { $0.output } }

        func wait(_ seconds: Double) {
            state.withLock { $0.time += seconds }
        }

        func bar(isInteractive: Bool, isRich: Bool = false, total: Int? = 100) -> ProgressBar {
            ProgressBar(
                title: "work", total: total,
                terminal: Terminal(
                    isInteractive: isInteractive, isRich: isRich, width: { 80 },
                    show: { text in self.state.withLock { $0.output.append(text) } }),
                now: { self.state.withLock { $0.time } })
        }
    }

    @Test("A terminal is redrawn at most ten times per second")
    func redraws() {
        let stage = Stage()
        let bar = stage.bar(isInteractive: true)
        for step in 1...100 {
            stage.wait(0.01)
            bar.update(step: step)
        }
        #expect((9...12).contains(stage.output.count))
        #expect(stage.output.allSatisfy { $0.hasPrefix("\r") && !$0.contains("\n") })
        bar.finish()
        bar.update(step: 3)
        #expect(stage.output.last == "\n")
        #expect(stage.output.dropLast().last?.contains("100%") == true)
    }

    @Test("Metrics are made into text when they are drawn, and the last ones are those of the last step")
    func lateMetrics() {
        let stage = Stage()
        let bar = stage.bar(isInteractive: true)
        let made = Locked(0)
        for step in 1...99 {
            stage.wait(0.001)
            bar.update(
                step: step,
                makeMetrics: {
                    made.withLock { $0 += 1 }
                    return [ProgressMetric("loss \(step)")]
                })
        }
        #expect(made.withLock { $0 } == stage.output.count)
        #expect(stage.output.count == 1)
        bar.finish()
        #expect(stage.output.dropLast().last?.contains("loss 99") == true)
        #expect(made.withLock { $0 } == 2)
    }

    @Test("Messages replace the bar and the bar is drawn again below")
    func messages() {
        let stage = Stage()
        let bar = stage.bar(isInteractive: true, isRich: true)
        bar.log("before")
        bar.update(step: 1)
        bar.log("saved a checkpoint")
        #expect(stage.output[0] == "before\n")
        #expect(stage.output[2] == "\r\u{1B}[Ksaved a checkpoint\n")
        #expect(stage.output[3].hasPrefix("\rwork"))
    }

    @Test("A plain terminal is overwritten with spaces")
    func dumbTerminal() {
        let stage = Stage()
        let bar = stage.bar(isInteractive: true)
        bar.update(step: 1, metrics: [ProgressMetric("a long metric")])
        let width = DisplayWidth.of(stage.output[0])
        bar.log("hello")
        #expect(stage.output[1] == "\r" + String(repeating: " ", count: width) + "\rhello\n")
        #expect(stage.output.joined().allSatisfy { $0.isASCII })
    }

    @Test("Log files have a line at intervals and at each tenth of the steps")
    func logFile() {
        let stage = Stage()
        let bar = stage.bar(isInteractive: false)
        for step in 1...100 {
            stage.wait(2)
            bar.update(step: step, metrics: [.value("loss", 2)])
        }
        bar.finish()
        let lines = stage.output
        #expect((10...18).contains(lines.count))
        #expect(lines.allSatisfy { $0.hasSuffix("\n") && !$0.contains("\r") && !$0.contains("\u{1B}") })
        #expect(lines.last?.contains("100/100 (100%)") == true)
    }

    @Test("Threads may update and log at once")
    func threads() async {
        let stage = Stage()
        let bar = stage.bar(isInteractive: true)
        await withTaskGroup(of: Void.self) { group in
            for worker in 0..<4 {
                group.addTask {
                    for step in 0..<200 {
                        bar.update(step: step)
                        if step % 50 == 0 { bar.log("worker \(worker)") }
                    }
                }
            }
        }
        #expect(stage.output.count { $0.contains("worker") } == 16)
    }

    @Test("NO_COLOR and TERM=dumb select plain text")
    func environment() {
        #expect(Terminal.allowsRichText(environment: ["TERM": "xterm"]))
        #expect(Terminal.allowsRichText(environment: ["NO_COLOR": ""]))
        #expect(!Terminal.allowsRichText(environment: ["NO_COLOR": "1"]))
        #expect(!Terminal.allowsRichText(environment: ["TERM": "dumb"]))
    }
}
