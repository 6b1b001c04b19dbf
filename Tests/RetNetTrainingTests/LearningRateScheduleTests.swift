import RetNetTraining
import Testing

@Suite struct LearningRateScheduleTests {
    private func schedule(
        _ kind: ScheduleConfiguration.Kind, steps: Int = 110, warmup: Int = 10, floor: Double = 0
    )
        -> LearningRateSchedule
    {
        var configuration = ScheduleConfiguration()
        configuration.kind = kind
        configuration.warmupStepCount = warmup
        configuration.minimumRatio = floor
        return LearningRateSchedule(peak: 2, stepCount: steps, configuration)
    }

    @Test func `The warm-up is linear and reaches the peak at its last step`() {
        let schedule = schedule(.linear)
        #expect(schedule.learningRate(step: 1) == 0.2)
        #expect(schedule.learningRate(step: 5) == 1)
        #expect(schedule.learningRate(step: 10) == 2)
        #expect(schedule.learningRate(step: 11) == 2)
    }

    @Test func `Linear decay goes straight down to the final share`() {
        let schedule = schedule(.linear, floor: 0.1)
        #expect(abs(schedule.learningRate(step: 61) - 2 * 0.55) < 1e-12)
        #expect(schedule.learningRate(step: 110) > 0.2)
        #expect(abs(schedule.learningRate(step: 111) - 0.2) < 1e-12)
        #expect(abs(schedule.learningRate(step: 10_000) - 0.2) < 1e-12)
    }

    @Test func `Cosine decay is half way down in the middle`() {
        let schedule = schedule(.cosine)
        #expect(abs(schedule.learningRate(step: 61) - 1) < 1e-12)
        #expect(abs(schedule.learningRate(step: 36) - (1 + 0.5.squareRoot())) < 1e-12)
        #expect(abs(schedule.learningRate(step: 111)) < 1e-12)
    }

    @Test func `A constant rate stays and a run may be all warm-up`() {
        #expect(schedule(.constant).learningRate(step: 100) == 2)
        #expect(schedule(.linear, steps: 5, warmup: 10).learningRate(step: 5) == 1)
        #expect(schedule(.linear, steps: 5, warmup: 0).learningRate(step: 1) == 2)
        #expect(schedule(.linear, steps: 0, warmup: 0).learningRate(step: 1) == 0)
    }
}
