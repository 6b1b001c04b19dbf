/// What the steps of a run need besides a model and data.
public struct StepOptions: Sendable {
    /// Settings of the optimiser.
    public var optimizer = OptimizerConfiguration()
    /// Settings of the learning rate.
    public var schedule = ScheduleConfiguration()
    /// Settings of the guard.
    public var lossGuard = GuardConfiguration()
    /// Steps of the whole run, which the schedule depends on.
    public var stepCount = 1000
    /// Passes of one step, whose gradients are those of one large batch.
    public var accumulationCount = 1
    /// The seed of dropout.
    public var dropoutSeed: UInt64 = 0

    /// The defaults.
    public init() {}

    /// The seed of dropout in a run: not the run's own, which the first weights come from.
    static func dropoutSeed(ofRun seed: UInt64) -> UInt64 { seed ^ 0x6472_6F70_6F75_7421 }
}
