/// A task of the recall recipe with the shape of its models and their training.
public struct RecallPlan: Sendable {
    /// The name in file names.
    public var name: String
    /// The task.
    public var task: any SyntheticTask
    /// The shape of the models.
    public var model: RecallModel
    /// The training settings, with the first of ``learningRates``.
    public var settings: RecallTraining.Settings
    /// Peak learning rates to try.
    public var learningRates: [Double]
    /// True to try every rate with every seed; false to try a rate only after those before it have failed.
    public var triesAllRates: Bool

    init(
        _ name: String, _ task: any SyntheticTask, _ model: RecallModel, steps: Int, learningRates: [Double],
        triesAllRates: Bool, weightDecay: Double = 0.1, batchSize: Int = 64, extraSteps: Int? = nil
    ) {
        self.name = name
        self.task = task
        self.model = model
        self.learningRates = learningRates
        self.triesAllRates = triesAllRates
        settings = RecallTraining.Settings(stepCount: steps, learningRate: learningRates.first ?? 1e-3)
        settings.weightDecay = weightDecay
        settings.batchSize = batchSize
        settings.extraStepCount = extraSteps
    }

    /// The length of the longest example.
    public var maximumLength: Int {
        task.evaluations.reduce(task.training.lengths.upperBound) { max($0, $1.lengths.upperBound) }
    }

    /// The sizes for a contender's mixer.
    public var mixerSizes: RecallContender.Sizes {
        RecallContender.Sizes(width: model.width, headCount: model.headCount, maximumLength: maximumLength)
    }

    /// The training settings in one line, for the report.
    ///
    /// They identify the results in a folder: results with other words are refused.
    public var trainingSummary: String {
        "at most \(settings.stepCount) steps of \(settings.batchSize) fresh examples, AdamW (0.9, 0.98), weight decay"
            + " \(settings.weightDecay), warm-up over \(min(settings.warmupStepCount, settings.stepCount / 10))"
            + " steps, cosine to 5 %, clip norm 1, peak learning rate "
            + learningRates.map { "\($0)" }.joined(separator: triesAllRates ? ", " : ", then ")
            + (settings.extraStepCount.map { "; at most \($0) steps more once the trained length is solved" }
                ?? "")
    }

    // MARK: Scales

    /// Returns the tasks of a scale.
    ///
    /// The sizes of `tiny` come from a calibration: training takes a minute or less on one core, and families of
    /// mixers differ. Those of `paper` are published, except for numbers of steps that the papers do not state.
    public static func plans(_ scale: ExperimentScale) throws -> [RecallPlan] {
        switch scale {
        case .tiny: try tiny()
        case .small: try small()
        case .paper: try paper()
        }
    }

    private static func tiny() throws -> [RecallPlan] {
        [
            RecallPlan(
                "mqar", try MultiQueryRecall(vocabularySize: 40, length: 32, pairCount: 4),
                RecallModel(width: 64, convolutionWidth: 4), steps: 600, learningRates: [2e-3],
                triesAllRates: false),
            RecallPlan(
                "induction", try InductionHead(vocabularySize: 16, length: 32), RecallModel(width: 32),
                steps: 600, learningRates: [4e-3], triesAllRates: false, extraSteps: 150),
            RecallPlan(
                "parity", try RunningParity(lengths: 16...16, evaluationLength: 64),
                RecallModel(width: 32, feedForwardFactor: 2), steps: 1000, learningRates: [4e-3],
                triesAllRates: false, weightDecay: 0),
        ]
    }

    private static func small() throws -> [RecallPlan] {
        let rates = [1e-3, 3e-3, 1e-2]
        return [
            RecallPlan(
                "mqar", try MultiQueryRecall(vocabularySize: 256, length: 128, pairCount: 16),
                RecallModel(width: 64, convolutionWidth: 4), steps: 4000, learningRates: rates,
                triesAllRates: true),
            RecallPlan(
                "induction", try InductionHead(vocabularySize: 16, length: 64, factors: [1, 2, 4, 8]),
                RecallModel(width: 64), steps: 2000, learningRates: rates, triesAllRates: true),
            RecallPlan(
                "parity", try RunningParity(lengths: 3...40, evaluationLength: 256),
                RecallModel(width: 64, feedForwardFactor: 2), steps: 4000, learningRates: rates,
                triesAllRates: true, weightDecay: 0),
            RecallPlan(
                "associative-recall", try AssociativeRecall(), RecallModel(width: 32, feedForwardFactor: 4),
                steps: 4000, learningRates: rates, triesAllRates: true),
        ]
    }

    private static func paper() throws -> [RecallPlan] {
        [
            // Zoology: four rates from 1e-4 to 1e-2, 64 epochs of 100,000 examples.
            RecallPlan(
                "mqar", try MultiQueryRecall(vocabularySize: 8192, length: 256, pairCount: 16),
                RecallModel(width: 128, convolutionWidth: 4), steps: 100_000,
                learningRates: [1e-4, 4.6e-4, 2.2e-3, 1e-2], triesAllRates: true),
            // Mamba: trained at 256, batches of 8; steps not stated.
            RecallPlan(
                "induction",
                try InductionHead(vocabularySize: 16, length: 256, factors: [1, 2, 4, 8, 16]),
                RecallModel(width: 64), steps: 200_000, learningRates: [2e-4, 1e-3], triesAllRates: true,
                batchSize: 8),
            // Lengths 3 to 40, scored up to 256; steps not stated.
            RecallPlan(
                "parity", try RunningParity(lengths: 3...40, evaluationLength: 256),
                RecallModel(width: 128, headCount: 4, feedForwardFactor: 2), steps: 20_000,
                learningRates: [1e-4, 5e-4, 1e-3], triesAllRates: true, weightDecay: 0),
            // H3: 400 epochs of 5,000 examples in batches of 32.
            RecallPlan(
                "associative-recall", try AssociativeRecall(), RecallModel(width: 32, feedForwardFactor: 4),
                steps: 62_500, learningRates: [5e-4, 2e-3], triesAllRates: true, batchSize: 32),
        ]
    }
}

/// The shape of the models of a synthetic task, the same for all contenders.
public struct RecallModel: Sendable, Equatable {
    /// d, the model width.
    public var width: Int
    /// Number of heads of mixers with heads.
    public var headCount: Int
    /// Number of layers.
    public var layerCount: Int
    /// Inner width of feed-forward networks in multiples of d; 0 for no feed-forward network.
    public var feedForwardFactor: Int
    /// Width of a convolution before every mixer; nil for none.
    public var convolutionWidth: Int?

    /// Creates a shape; by default two layers with two heads.
    public init(
        width: Int, headCount: Int = 2, layerCount: Int = 2, feedForwardFactor: Int = 0,
        convolutionWidth: Int? = nil
    ) {
        self.width = width
        self.headCount = headCount
        self.layerCount = layerCount
        self.feedForwardFactor = feedForwardFactor
        self.convolutionWidth = convolutionWidth
    }

    /// The shape in one line, for the report; it also identifies results.
    public var summary: String {
        "\(layerCount) layers of width \(width), \(headCount) heads, "
            + (feedForwardFactor > 0 ? "feed-forward of \(feedForwardFactor)d" : "no feed-forward")
            + (convolutionWidth.map { ", a convolution of width \($0) before every mixer" } ?? "")
    }
}
