import Foundation
import RetNetLayers
import RetNetMixers
import RetNetModels
import RetNetReporting
import RetNetStories
import RetNetText
import RetNetTorch
import RetNetTraining

/// A size of the demo's models and the stories that it learns in minutes, which suit the speed of a machine.
struct DemoPlan {
    let width: Int
    let layerCount: Int
    let peakLearningRate: Double
    /// Tokens of training below which the next plan is chosen: after about so many the facts of the stories are recalled.
    let fewestTokenCount: Double
    /// Many small updates teach recall from fewer tokens than few large ones.
    var batchSize = 8
    var vocabularySize = 2048
    /// The stories, unless others are wanted.
    var level = StoryLevel.simple
    /// A preset in place of a RetNet of these sizes.
    var preset: Preset?

    static let length = 256
    var tokensPerStep: Int { Self.length * batchSize }

    /// The plans, the largest first.
    static let all = [
        DemoPlan(width: 320, layerCount: 5, peakLearningRate: 4e-3, fewestTokenCount: 2.6e6),
        DemoPlan(width: 256, layerCount: 4, peakLearningRate: 5e-3, fewestTokenCount: 1.2e6),
        DemoPlan(width: 192, layerCount: 4, peakLearningRate: 5e-3, fewestTokenCount: 0.8e6),
        DemoPlan(width: 128, layerCount: 3, peakLearningRate: 5e-3, fewestTokenCount: 0.8e6),
        DemoPlan(
            width: 128, layerCount: 3, peakLearningRate: 5e-3, fewestTokenCount: 0.3e6, batchSize: 4,
            vocabularySize: 1024, level: .basic),
    ]

    /// Heads of 64 channels.
    private var headCount: Int { max(1, width / 64) }

    /// The sizes in words.
    var description: String {
        preset?.name ?? "\(layerCount) layers of width \(width)" + (level == .basic ? ", basic stories" : "")
    }

    /// Returns the name of a model in progress and results.
    func title(_ architecture: ComparedArchitecture) -> String {
        architecture == .retnet ? preset?.name ?? architecture.title : architecture.title
    }

    /// Returns a model of the comparisons of the paper, in which all architectures have the same number of parameters.
    func model(_ architecture: ComparedArchitecture) -> LanguageModelConfiguration {
        if architecture == .retnet, var model = preset?.configuration {
            model.vocabularySize = vocabularySize
            return model
        }
        return architecture.configuration(
            width: width, layerCount: layerCount, vocabularySize: vocabularySize,
            trainingLength: Self.length,
            sizes: ComparedSizes(retentionKeySize: width / headCount, headSize: width / headCount))
    }

    /// Returns the training run of a model.
    func configuration(
        _ architecture: ComparedArchitecture, stepCount: Int, paths: [String], tellsStories: Bool, seed: Int,
        precision: TrainingConfiguration.Precision
    ) -> RunConfiguration<LanguageModelTask> {
        var configuration = RunConfiguration<LanguageModelTask>(task: .init(model: model(architecture)))
        configuration.training.seed = UInt64(seed)
        configuration.training.precision = precision
        configuration.training.duration = .steps(stepCount)
        // Muon learns the recall from a third of the tokens that AdamW needs.
        configuration.training.optimizer = OptimizerConfiguration(.muon)
        configuration.training.optimizer.learningRate = peakLearningRate
        configuration.training.optimizer.adamW.betas = [0.9, 0.98]
        configuration.training.optimizer.clipNorm = 2
        configuration.training.schedule.warmupStepCount = max(1, min(100, stepCount / 10))
        configuration.task.data.paths = paths
        configuration.task.data.tokenizer = "train:bpe:\(vocabularySize)"
        configuration.task.data.length = Self.length
        configuration.task.data.batchSize = batchSize
        if tellsStories {
            configuration.task.data.separator = .blankLines(1)
        } else {
            configuration.task.data.validationFraction = 0.05
        }
        let monitoring = \RunConfiguration<LanguageModelTask>.training.monitoring
        configuration[keyPath: monitoring].logInterval = max(1, min(10, stepCount / 50))
        configuration[keyPath: monitoring].evaluationInterval = max(1, stepCount / 6)
        configuration[keyPath: monitoring].evaluationBatchCount = 16
        configuration[keyPath: monitoring].sampleInterval = max(1, stepCount / 3)
        configuration[keyPath: monitoring].sampleTokenCount = 60
        configuration[keyPath: monitoring].checkpointInterval = max(1, stepCount / 2)
        configuration[keyPath: monitoring].keptCheckpointCount = 1
        return configuration
    }

    /// Returns the tokens that a machine trains on per second, estimated from a few updates.
    func tokensPerSecond(on device: Device, _ elementType: ElementType) throws -> Double {
        let parameters = ParameterStore(source: .random(seed: 0), device: device)
        let model = try LanguageModel(model(.retnet), parameters: parameters, computeType: elementType)
        var generator = StoryGenerator(seed: 0)
        let corpus = generator.corpus(byteCount: tokensPerStep * 4)
        let source = try ShuffledWindows(
            stream: TokenStream(texts: [corpus.text], tokenizer: ByteTokenizer()), rowCount: batchSize,
            length: Self.length, seed: 0)
        let form = model.configuration.trainingForm
        // With the optimizer of the run, which takes a good part of a small update.
        let training = configuration(
            .retnet, stepCount: 100, paths: [], tellsStories: true, seed: 0, precision: .float32
        ).training
        let trainer = try Trainer(LanguageModelTask(model, source: source, form: form), training)
        _ = try trainer.makeStep()
        var timings = Timings()
        let start = ContinuousClock.now
        // Three updates at least, even where each takes seconds.
        while timings.seconds.count < 3
            || timings.seconds.count < 10 && ContinuousClock.now - start < .seconds(2)
        {
            try timings.time {
                _ = try trainer.makeStep()
                try device.synchronize()
            }
        }
        return Double(tokensPerStep) / max(timings.median, 1e-6)
    }
}

extension DemoPlan {
    /// Creates the plan of a preset, beside a Transformer of its width and depth.
    init(preset: Preset) {
        let model = preset.configuration
        self.init(
            width: model.hiddenSize, layerCount: model.layerCount,
            peakLearningRate: preset.recipe.peakLearningRate, fewestTokenCount: 0, preset: preset)
    }
}
