import Testing

@testable import RetNetExperiments

@Suite struct SpeedUpTests {
    private let dense: [(accuracy: Double?, latency: Double?)] = [(50, 1), (60, 2), (64, 4)]

    @Test("Latency is interpolated between the two dense models around the accuracy")
    func interpolation() {
        // Half-way between the second and the third: 3 against 2.4 is 25 % faster.
        #expect(SpeedUp(accuracy: 62, latency: 2.4, dense: dense) == .value((3 - 2.4) / 2.4))
        #expect(SpeedUp(accuracy: 62, latency: 2.4, dense: dense).text == "+25 %")
        // At a dense model's own accuracy and latency there is none.
        #expect(SpeedUp(accuracy: 60, latency: 2, dense: dense) == .value(0))
        #expect(SpeedUp(accuracy: 50, latency: 1, dense: dense) == .value(0))
        // Slower than the dense model of the same accuracy.
        #expect(SpeedUp(accuracy: 55, latency: 3, dense: dense) == .value(-0.5))
        #expect(SpeedUp(accuracy: 55, latency: 3, dense: dense).text == "−50 %")
    }

    @Test("Nothing is extrapolated, and interpolation needs three rising points")
    func refusals() {
        #expect(SpeedUp(accuracy: 64.1, latency: 1, dense: dense) == .aboveAll)
        #expect(SpeedUp(accuracy: 49.9, latency: 1, dense: dense) == .belowAll)
        #expect(SpeedUp(accuracy: 60, latency: 1, dense: Array(dense.prefix(2))) == .tooFewModels)
        #expect(
            SpeedUp(accuracy: 60, latency: 1, dense: [(50, 1), (50, 2), (64, 4)]) == .accuracyDoesNotRise)
        #expect(SpeedUp(accuracy: 60, latency: 1, dense: [(50, 1), (nil, 2), (64, 4)]) == .unknown)
        #expect(SpeedUp(accuracy: nil, latency: 1, dense: dense) == .unknown)
        #expect(SpeedUp(accuracy: 60, latency: 0, dense: dense) == .unknown)
        #expect(SpeedUp(accuracy: 60, latency: 2, dense: dense, floor: 63) == .value(0))
        #expect(SpeedUp(accuracy: 60, latency: 2, dense: dense, floor: 64) == .withoutSkill)
        for outcome in [
            SpeedUp.aboveAll, .belowAll, .tooFewModels, .accuracyDoesNotRise, .withoutSkill, .unknown,
        ] {
            #expect(outcome.fraction == nil)
            #expect(outcome.text.hasPrefix("–"))
        }
    }
}
