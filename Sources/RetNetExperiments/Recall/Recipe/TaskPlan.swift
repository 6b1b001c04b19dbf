/// One task of the recall recipe: its sizes, the models that learn it, and how.
public struct TaskPlan: Sendable {
    /// The name in file names.
    public var name: String
    /// The task.
    public var task: any SyntheticTask
    /// The models.
    public var model: TaskModel
    /// The training; its learning rate is the first of ``learningRates``.
    public var settings: TaskSettings
    /// Peak learning rates to try.
    public var learningRates: [Double]
    /// Whether every rate is tried with every seed; else a further one only where those before have failed.
    public var triesAllRates: Bool

    init(
        _ name: String, _ task: any SyntheticTask, _ model: TaskModel, steps: Int, learningRates: [Double],
        triesAllRates: Bool, weightDecay: Double = 0.1, batchSize: Int = 64, extraSteps: Int? = nil
    ) {
        self.name = name
        self.task = task
        self.model = model
        self.learningRates = learningRates
        self.triesAllRates = triesAllRates
        settings = TaskSettings(stepCount: steps, learningRate: learningRates.first ?? 1e-3)
        settings.weightDecay = weightDecay
        settings.batchSize = batchSize
        settings.extraStepCount = extraSteps
    }

    /// The longest example of all evaluations.
    public var maximumLength: Int {
        task.evaluations.reduce(task.training.lengths.upperBound) { max($0, $1.lengths.upperBound) }
    }

    /// Where a contender's mixer is put.
    public var place: RecallContender.Place {
        RecallContender.Place(
            width: model.width, headCount: model.headCount, maximumLength: maximumLength)
    }

    /// The training in a sentence.
    public var trainingSummary: String {
        "at most \(settings.stepCount) steps of \(settings.batchSize) fresh examples, AdamW (0.9, 0.98), weight decay"
            + " \(settings.weightDecay), warm-up over \(min(settings.warmupStepCount, settings.stepCount / 10))"
            + " steps, cosine to 5 %, clip norm 1, peak learning rate "
            + learningRates.map { "\($0)" }.joined(separator: triesAllRates ? ", " : ", then ")
            + (settings.extraStepCount.map { "; at most \($0) steps more once the trained length is solved" }
                ?? "")
    }

    // MARK: Scales

    /// The tasks of a scale.
    ///
    /// The sizes of `tiny` were found by calibration: a minute and less a run on one core, and they tell families
    /// of mixers apart. Those of `paper` are published; where papers give no number of steps, it is ours.
    public static func plans(_ scale: ExperimentScale) throws -> [TaskPlan] {
        switch scale {
        case .tiny: try tiny()
        case .small: try small()
        case .paper: try paper()
        }
    }

    private static func tiny() throws -> [TaskPlan] {
        [
            TaskPlan(
                "mqar", try MultiQueryRecall(vocabularySize: 40, length: 32, pairCount: 4),
                TaskModel(width: 64, convolutionWidth: 4), steps: 600, learningRates: [2e-3],
                triesAllRates: false),
            TaskPlan(
                "induction", try InductionHead(vocabularySize: 16, length: 32), TaskModel(width: 32),
                steps: 600, learningRates: [4e-3], triesAllRates: false, extraSteps: 150),
            TaskPlan(
                "parity", try RunningParity(lengths: 16...16, evaluationLength: 64),
                TaskModel(width: 32, feedForwardFactor: 2), steps: 1000, learningRates: [4e-3],
                triesAllRates: false, weightDecay: 0),
        ]
    }

    private static func small() throws -> [TaskPlan] {
        let rates = [1e-3, 3e-3, 1e-2]
        return [
            TaskPlan(
                "mqar", try MultiQueryRecall(vocabularySize: 256, length: 128, pairCount: 16),
                TaskModel(width: 64, convolutionWidth: 4), steps: 4000, learningRates: rates,
                triesAllRates: true),
            TaskPlan(
                "induction", try InductionHead(vocabularySize: 16, length: 64, factors: [1, 2, 4, 8]),
                TaskModel(width: 64), steps: 2000, learningRates: rates, triesAllRates: true),
            TaskPlan(
                "parity", try RunningParity(lengths: 3...40, evaluationLength: 256),
                TaskModel(width: 64, feedForwardFactor: 2), steps: 4000, learningRates: rates,
                triesAllRates: true, weightDecay: 0),
            TaskPlan(
                "associative-recall", try AssociativeRecall(), TaskModel(width: 32, feedForwardFactor: 4),
                steps: 4000, learningRates: rates, triesAllRates: true),
        ]
    }

    private static func paper() throws -> [TaskPlan] {
        [
            // Zoology: four rates from 1e-4 to 1e-2, 64 epochs of 100,000 examples.
            TaskPlan(
                "mqar", try MultiQueryRecall(vocabularySize: 8192, length: 256, pairCount: 16),
                TaskModel(width: 128, convolutionWidth: 4), steps: 100_000,
                learningRates: [1e-4, 4.6e-4, 2.2e-3, 1e-2], triesAllRates: true),
            // Mamba: trained at 256, batches of 8; the steps are ours.
            TaskPlan(
                "induction",
                try InductionHead(vocabularySize: 16, length: 256, factors: [1, 2, 4, 8, 16]),
                TaskModel(width: 64), steps: 200_000, learningRates: [2e-4, 1e-3], triesAllRates: true,
                batchSize: 8),
            // Lengths 3 to 40, judged to 256; the steps are ours.
            TaskPlan(
                "parity", try RunningParity(lengths: 3...40, evaluationLength: 256),
                TaskModel(width: 128, headCount: 4, feedForwardFactor: 2), steps: 20_000,
                learningRates: [1e-4, 5e-4, 1e-3], triesAllRates: true, weightDecay: 0),
            // H3: 400 epochs of 5,000 examples in batches of 32.
            TaskPlan(
                "associative-recall", try AssociativeRecall(), TaskModel(width: 32, feedForwardFactor: 4),
                steps: 62_500, learningRates: [5e-4, 2e-3], triesAllRates: true, batchSize: 32),
        ]
    }
}
