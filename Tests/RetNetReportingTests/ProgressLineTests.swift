import Testing

@testable import RetNetReporting

@Suite("Progress line")
struct ProgressLineTests {
    private let line = ProgressLine(
        title: "train", step: 4200, total: 10_000,
        metrics: [.value("loss", 1.234), .rate(12_345, unit: "tok/s"), .bytes(3_328_599_654)],
        elapsedSeconds: 723, secondsLeft: 998)

    @Test("A wide terminal shows everything")
    func wide() {
        let text = line.bar(width: 160, isRich: false)
        #expect(
            text == "train   42%  [###############-----------------------]  4,200/10,000  loss 1.234  "
                + "12.3k tok/s  3.1 GiB  12:03 elapsed, 16:38 left")
    }

    @Test("Every width is respected", arguments: [1, 5, 12, 20, 40, 60, 80, 100, 132, 400])
    func widths(width: Int) {
        for isRich in [false, true] {
            let text = line.bar(width: width, isRich: isRich)
            #expect(DisplayWidth.of(withoutEscapes(text)) <= max(width - 1, 1))
        }
    }

    @Test("Narrow terminals drop the last metrics first")
    func narrow() {
        let text = line.bar(width: 90, isRich: false)
        #expect(text.contains("loss 1.234"))
        #expect(!text.contains("GiB"))
        #expect(text.contains("16:38 left"))
    }

    @Test("The rich bar uses colors and heavy lines, the plain one only ASCII")
    func styles() {
        #expect(line.bar(width: 120, isRich: true).contains("\u{2501}"))
        #expect(line.bar(width: 120, isRich: true).contains("\u{1B}["))
        #expect(line.bar(width: 120, isRich: false).allSatisfy { $0.isASCII })
    }

    @Test("Unknown, zero and exceeded totals are shown")
    func totals() {
        var other = line
        other.total = nil
        #expect(other.bar(width: 120, isRich: false).hasPrefix("train  4,200  loss"))
        other.total = 0
        #expect(other.fraction == 1)
        other.total = 100
        #expect(other.bar(width: 120, isRich: false).contains("100%"))
        other.step = -3
        #expect(other.fraction == 0)
    }

    @Test("Log lines have no bar and no control characters")
    func plain() {
        var other = line
        other.title = "a\nb\u{1B}c"
        #expect(
            other.plain() == "a b c  4,200/10,000 ( 42%)  loss 1.234  12.3k tok/s  3.1 GiB  "
                + "12:03 elapsed, 16:38 left")
    }

    private func withoutEscapes(_ text: String) -> String {
        text.replacing(/\u{1B}\[[0-9;]*[mK]/, with: "")
    }
}

@Suite("Rate estimator")
struct RateEstimatorTests {
    @Test("A long pause does not move the estimate")
    func pause() {
        var rate = RateEstimator(time: 0, step: 0)
        var time = 0.0
        for step in 1...100 {
            time += step == 50 ? 3600 : 0.5
            rate.record(time: time, step: step)
        }
        #expect(rate.secondsPerStep == 0.5)
        #expect(rate.secondsLeft(step: 100, total: 140) == 20)
    }

    @Test("A lasting change of speed determines the estimate")
    func change() {
        var rate = RateEstimator(time: 0, step: 0)
        for step in 1...40 { rate.record(time: Double(step), step: step) }
        for step in 41...60 { rate.record(time: 40 + Double(step - 40) * 3, step: step) }
        #expect(rate.secondsPerStep == 3)
    }

    @Test("Very fast steps are gathered into intervals")
    func fast() {
        var rate = RateEstimator(time: 0, step: 0)
        for step in 1...10_000 { rate.record(time: Double(step) / 1024, step: step) }
        #expect(rate.secondsPerStep == 1.0 / 1024)
    }

    @Test("Intervals with a few of many small steps do not move the estimate")
    func uneven() {
        var rate = RateEstimator(time: 0, step: 0)
        var (time, step) = (0.0, 0)
        for count in [1 << 20, 1, 1, 1, 1 << 20, 1, 1] {
            step += count
            time += 0.5
            rate.record(time: time, step: step)
        }
        #expect(rate.secondsPerStep == 0.5 / Double(1 << 20))
    }

    @Test("There is no estimate before the first interval")
    func unknown() {
        var rate = RateEstimator(time: 0, step: 100)
        rate.record(time: 0.1, step: 101)
        #expect(rate.secondsLeft(step: 101, total: 200) == nil)
    }
}
