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

    @Test func `A share limits the warm-up, so that a short run reaches its peak`() {
        var configuration = ScheduleConfiguration()
        configuration.warmupStepCount = 50
        #expect(configuration.warmupShare == 1)
        configuration.warmupShare = 0.1
        let schedule = LearningRateSchedule(peak: 2, stepCount: 60, configuration)
        #expect(schedule.learningRate(step: 6) == 2)
        #expect(schedule.learningRate(step: 3) == 1)
        #expect(schedule.learningRate(step: 60) < 0.05)
        #expect(LearningRateSchedule(peak: 2, stepCount: 600, configuration).learningRate(step: 25) == 1)
        configuration.kind = .inverseSquareRoot
        let plateau = LearningRateSchedule(peak: 2, stepCount: 60, configuration)
        #expect(plateau.learningRate(step: 50) == 2)
        #expect(plateau.learningRate(step: 60) < 2)
    }
}
