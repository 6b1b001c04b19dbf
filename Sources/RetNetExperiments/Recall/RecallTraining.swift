import RetNetLayers
import RetNetModels
import RetNetText
import RetNetTorch
import RetNetTraining

/// Trains a model on fresh examples of a synthetic task and scores it on examples that it has not seen.
///
/// Training ends early when all evaluations have reached the goal on validation examples, or
/// ``Settings/extraStepCount`` steps after the first one has. The training examples and the initial values depend on
/// the seed; validation and test examples are the same for all seeds.
public struct RecallTraining: Sendable {
    /// The task.
    public var task: any SyntheticTask
    /// The model.
    public var configuration: LanguageModelConfiguration
    /// The training settings.
    public var settings: Settings
    /// Seed for initial values and examples.
    public var seed: Int
    /// The device of the model.
    public var device = Device.cpu

    // Far from the seeds of training, which are small numbers.
    private static let validationSeed: UInt64 = 0x7A11_DA7E_0000_0001
    private static let testSeed: UInt64 = 0x7E57_5EED_0000_0001
    private static let rowsAtOnce = 128

    /// Creates a training on the CPU.
    public init(
        task: any SyntheticTask, configuration: LanguageModelConfiguration, settings: Settings, seed: Int
    ) {
        self.task = task
        self.configuration = configuration
        self.settings = settings
        self.seed = seed
    }

    /// Trains and scores; `report` is called after every validation and may throw to end the training.
    public func run(_ report: (_ step: Int, _ accuracy: Double) throws -> Void = { _, _ in }) throws
        -> Outcome
    {
        let start = ContinuousClock.now
        let seed = UInt64(bitPattern: Int64(seed))
        let store = ParameterStore(source: .random(seed: seed), device: device)
        let model = try LanguageModel(configuration, parameters: store, computeType: .float32)
        let source = SyntheticBatches(task, rowCount: settings.batchSize, seed: seed)
        let learner = try LanguageModelTask(model, source: source, form: configuration.trainingForm)
        let trainer = try Trainer(learner, settings.trainingConfiguration, dropoutSeed: seed)
        var outcome = Outcome(
            accuracies: [], validation: 0, stepsToGoal: nil, stepCount: 0,
            learningRate: settings.learningRate, diverged: false, parameterCount: store.parameterCount,
            seconds: 0)
        let interval = max(1, settings.evaluationInterval)
        do {
            try trainer.makeSteps { step in
                outcome.stepCount = step.step
                guard step.step % interval == 0 || step.step == trainer.stepCount else { return true }
                let reached = try validate(model, &outcome)
                try report(step.step, outcome.validation)
                return !reached
            }
        } catch TrainingError.diverged {
            outcome.diverged = true
        }
        outcome.accuracies = try task.evaluations.map {
            try accuracy(model, $0, count: settings.testCount, seed: Self.testSeed)
        }
        outcome.seconds = (ContinuousClock.now - start) / .seconds(1)
        return outcome
    }

    /// Scores the validation examples; returns true if training may end.
    ///
    /// An evaluation is scored only when those before it have reached the goal.
    private func validate(_ model: LanguageModel, _ outcome: inout Outcome) throws -> Bool {
        for (index, split) in task.evaluations.enumerated() {
            let value = try accuracy(
                model, split, count: settings.validationCount, seed: Self.validationSeed)
            if index == 0 { outcome.validation = max(outcome.validation, value) }
            if index == 0, value >= settings.goal, outcome.stepsToGoal == nil {
                outcome.stepsToGoal = outcome.stepCount
            }
            if let extra = settings.extraStepCount, let reached = outcome.stepsToGoal,
                outcome.stepCount - reached >= extra
            {
                return true
            }
            guard value >= settings.goal else { return false }
        }
        return true
    }

    /// Returns the share of right answers to a number of examples of a split.
    func accuracy(_ model: LanguageModel, _ split: TaskSplit, count: Int, seed: UInt64) throws -> Double {
        try withoutGradients {
            var (right, asked) = (0.0, 0)
            for (index, first) in stride(from: 0, to: count, by: Self.rowsAtOnce).enumerated() {
                let batch = task.batch(
                    split, rowCount: min(Self.rowsAtOnce, count - first), seed: seed, index: index)
                let shape = [batch.rowCount, batch.length]
                let tokens = try Tensor.from(batch.tokens, shape).to(.int64, on: device)
                let hidden = try model.hidden(tokens, form: configuration.trainingForm).hidden
                let positions = batch.targets.indices.filter { batch.targets[$0] != Batch.ignoredTarget }
                guard !positions.isEmpty else { continue }
                let rows = try hidden.reshaped([-1, hidden.size(-1)])
                    .indexSelected(0, try Tensor.from(positions.map(Int64.init)).to(on: device))
                let answers = try model.logits(rows).argmax(axis: -1)
                let targets = try Tensor.from(positions.map { Int64(batch.targets[$0]) }).to(on: device)
                right += try answers.isEqual(to: targets).to(.float32).sum().item()
                asked += positions.count
            }
            return asked > 0 ? right / Double(asked) : 0
        }
    }
}

extension RecallTraining {
    /// The settings of training on a synthetic task.
    public struct Settings: Sendable, Equatable {
        /// Largest number of steps.
        public var stepCount: Int
        /// Fresh examples per step.
        public var batchSize = 64
        /// Peak learning rate.
        public var learningRate: Double
        /// Weight decay of matrices.
        public var weightDecay = 0.1
        /// Steps of linear warm-up, at most a tenth of all steps.
        public var warmupStepCount = 100
        /// Steps between two validations.
        public var evaluationInterval = 50
        /// Validation examples per evaluation, which are never trained on.
        public var validationCount = 256
        /// Test examples per evaluation, which differ from the validation examples.
        public var testCount = 1024
        /// Steps after the first evaluation has reached the goal, for the other evaluations; nil for no limit.
        public var extraStepCount: Int?
        /// Accuracy at which the task counts as solved.
        public var goal = 0.99

        /// Creates the settings of the calibration for a number of steps and a learning rate.
        public init(stepCount: Int, learningRate: Double) {
            self.stepCount = stepCount
            self.learningRate = learningRate
        }

        /// The configuration of the run with AdamW and a cosine schedule.
        var trainingConfiguration: TrainingConfiguration {
            var result = TrainingConfiguration()
            result.optimizer.learningRate = learningRate
            result.optimizer.weightDecay = weightDecay
            result.optimizer.clipNorm = 1
            result.schedule.kind = .cosine
            result.schedule.warmupStepCount = min(warmupStepCount, stepCount / 10)
            result.schedule.minimumRatio = 0.05
            result.duration = .steps(stepCount)
            return result
        }
    }

    /// The result of training on a synthetic task.
    public struct Outcome: Sendable, Equatable {
        /// Share of right answers on the test examples of each evaluation, in the task's order.
        public var accuracies: [Double]
        /// Best validation accuracy of the first evaluation, by which learning rates are chosen.
        public var validation: Double
        /// First step at which the first evaluation reached the goal; nil if it did not.
        public var stepsToGoal: Int?
        /// Steps made.
        public var stepCount: Int
        /// Peak learning rate.
        public var learningRate: Double
        /// True if training ended because losses or gradients were not finite.
        public var diverged: Bool
        /// Number of trained parameters.
        public var parameterCount: Int
        /// Seconds of training and evaluation.
        public var seconds: Double
    }
}
