import RetNetTraining
import Testing

@Suite struct LossGuardTests {
    private func makeGuard(z: Double = 0, maximum: Int = 2) -> LossGuard {
        var configuration = GuardConfiguration()
        configuration.spikeZScore = z
        configuration.window = 8
        configuration.maximumSkipped = maximum
        return LossGuard(configuration)
    }

    @Test func `Losses and gradients that are not finite are skipped, and too many end the run`() throws {
        var lossGuard = makeGuard()
        #expect(try lossGuard.judge(loss: .nan, gradientNorm: 1, step: 1) != .apply)
        #expect(try lossGuard.judge(loss: 1, gradientNorm: .infinity, step: 2) != .apply)
        let error = #expect(throws: TrainingError.self) {
            try lossGuard.judge(loss: .nan, gradientNorm: 1, step: 3)
        }
        #expect(error?.description.contains("step 3") == true)
    }

    @Test func `A sound update ends the row of skipped ones`() throws {
        var lossGuard = makeGuard()
        for step in 1...10 {
            _ = try lossGuard.judge(loss: step % 3 == 0 ? 1 : .nan, gradientNorm: 1, step: step)
        }
        #expect(lossGuard.statistics.skippedInAll == 7)
    }

    @Test func `A spike is skipped once enough losses are known`() throws {
        var lossGuard = makeGuard(z: 4)
        #expect(try lossGuard.judge(loss: 100, gradientNorm: 1, step: 0) == .apply)
        for step in 1...8 {
            let loss = 2 + 0.1 * Double(step % 3)
            #expect(try lossGuard.judge(loss: loss, gradientNorm: 1, step: step) == .apply)
        }
        #expect(try lossGuard.judge(loss: 5, gradientNorm: 1, step: 9) != .apply)
        #expect(try lossGuard.judge(loss: 2.2, gradientNorm: 1, step: 10) == .apply)
        #expect(lossGuard.statistics.recentLosses.count == 8)
    }

    @Test func `Without a threshold spikes pass`() throws {
        var lossGuard = makeGuard()
        for step in 1...20 { _ = try lossGuard.judge(loss: 1, gradientNorm: 1, step: step) }
        #expect(try lossGuard.judge(loss: 1e9, gradientNorm: 1, step: 21) == .apply)
    }
}
