import Testing

@testable import RetNetPlots

@Suite("Axes")
struct AxisTests {
    private func labels(
        _ range: ClosedRange<Double>, _ scale: ChartAxis.Scale = .linear,
        format: ChartAxis.LabelFormat = .automatic, length: Double = 300
    ) throws -> [String] {
        let axis = ChartAxis("", scale: scale, range: range)
        let fitted = try #require(AxisScale(fitting: [], axis: axis, padding: 0))
        return AxisTicks(scale: fitted, format: format, length: length, spacing: 50).ticks.map(\.label)
    }

    @Test("Linear ticks are round and labeled alike")
    func linear() throws {
        #expect(try labels(0...10) == ["0", "2", "4", "6", "8", "10"])
        #expect(try labels(2.83...3.31) == ["2.9", "3.0", "3.1", "3.2", "3.3"])
        #expect(try labels(-1...1) == ["-1.0", "-0.5", "0.0", "0.5", "1.0"])
        #expect(try labels(0...100_000) == ["0", "20k", "40k", "60k", "80k", "100k"])
        #expect(try labels(0...6e-4) == ["0", "1e-4", "2e-4", "3e-4", "4e-4", "5e-4", "6e-4"])
        #expect(try labels(0...0.5, format: .percent) == ["0%", "10%", "20%", "30%", "40%", "50%"])
        #expect(try labels(0...3_221_225_472, format: .bytes).last == "3.0 GiB")
    }

    @Test("Logarithmic ticks are powers, with 2 and 5 between few of them")
    func logarithmic() throws {
        #expect(try labels(1...1000, .logarithmic, length: 200) == ["1", "10", "100", "1000"])
        #expect(try labels(10...100, .logarithmic) == ["10", "20", "50", "100"])
        #expect(
            try labels(1e-6...1e6, .logarithmic, length: 200)
                == ["1e-4", "1", "10k"])
        #expect(try labels(512...4096, .binaryLogarithmic) == ["512", "1K", "2K", "4K"])
        #expect(try labels(3...3.5, .logarithmic) == ["3.0", "3.1", "3.2", "3.3", "3.4", "3.5"])
    }

    @Test("Labels of a horizontal axis never touch")
    func spacing() throws {
        let axis = ChartAxis("", range: 1_000_000...1_000_100)
        let scale = try #require(AxisScale(fitting: [], axis: axis, padding: 0))
        let ticks = AxisTicks.fitting(scale: scale, format: .automatic, length: 300, labelSize: 11)
        let places = ticks.ticks.compactMap { tick in
            scale.fraction(tick.value).map { ($0 * 300, StrokeFont.width(of: tick.label, size: 11)) }
        }
        for (left, right) in zip(places, places.dropFirst()) {
            #expect(left.0 + left.1 / 2 < right.0 - right.1 / 2)
        }
    }

    @Test("Fitting accepts any data")
    func fitting() throws {
        let linear = ChartAxis("")
        #expect(AxisScale(fitting: [.nan, .infinity], axis: linear, padding: 0) == nil)
        #expect(AxisScale(fitting: [0, -1], axis: ChartAxis("", scale: .logarithmic), padding: 0) == nil)
        let same = try #require(AxisScale(fitting: [5, 5], axis: linear, padding: 0.1))
        #expect(same.lower < 5 && same.upper > 5)
        #expect(same.fraction(5) == 0.5)
        let positive = try #require(AxisScale(fitting: [0.1, 10], axis: linear, padding: 0.1))
        #expect(positive.lower == 0)
        let zero = try #require(
            AxisScale(fitting: [8, 10], axis: ChartAxis("", includesZero: true), padding: 0.1))
        #expect(zero.lower == 0 && zero.upper == 11)
        let huge = try #require(AxisScale(fitting: [-1e149, 1e149], axis: linear, padding: 0.1))
        #expect(huge.fraction(0) == 0.5)
        #expect(huge.fraction(.nan) == nil)
        #expect(huge.fraction(1e308) == nil)
    }
}
