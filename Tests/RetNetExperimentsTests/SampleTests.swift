import Testing

@testable import RetNetExperiments

@Suite struct SampleTests {
    @Test("Mean, standard deviation, median and range follow their definitions")
    func statistics() {
        let sample = Sample([2, 4, 4, 4, 5, 5, 7, 9])
        #expect(sample.count == 8)
        #expect(sample.mean == 5)
        #expect(abs((sample.standardDeviation ?? 0) - (32.0 / 7).squareRoot()) < 1e-12)
        #expect(sample.median == 4.5)
        #expect(sample.range == 2...9)
        #expect(sample.text(decimals: 2) == "5.00 ± 2.14")
    }

    @Test("Few numbers have no standard deviation, and numbers that are not finite are ignored")
    func few() {
        #expect(Sample([]).mean == nil)
        #expect(Sample([]).range == nil)
        #expect(Sample([]).text(decimals: 1) == "–")
        #expect(Sample([3]).standardDeviation == nil)
        #expect(Sample([3]).text(decimals: 1) == "3.0")
        #expect(Sample([3, .nan, .infinity]).values == [3])
        #expect(Sample([1, 5, 3]).median == 3)
    }

    @Test("A sample is clearly below another if the means differ by more than both standard deviations")
    func order() {
        let (low, high) = (Sample([1.0, 1.1, 0.9]), Sample([2.0, 2.1, 1.9]))
        #expect(low.isClearlyBelow(high))
        #expect(!high.isClearlyBelow(low))
        #expect(!Sample([1.0, 2.0, 0.5]).isClearlyBelow(Sample([1.2, 2.2, 0.7])))
        #expect(!Sample([]).isClearlyBelow(high))
        #expect(!low.isClearlyBelow(Sample([])))
    }
}

@Suite struct DisturbanceTests {
    @Test("Rounds that differ by more than half are reported")
    func disturbance() {
        func results(_ speeds: [Double]) -> [UnitResult] {
            speeds.enumerated().map { round, speed in
                UnitResult(
                    id: "a\(round)", contender: "A", seed: round, values: ["speed": speed], seconds: 1)
            }
        }
        #expect(results([1, 1.2, 1.4]).disturbance("speed") == nil)
        guard case .text(let text) = results([1, 1.2, 1.6]).disturbance("speed") else {
            Issue.record("nothing was said")
            return
        }
        #expect(text.contains("1 of 1"))
    }
}
