import Foundation
import RetNetLayers
import RetNetMixers
import RetNetModels
import RetNetReporting
import RetNetStories
import RetNetText
import RetNetTorch
import RetNetTraining

/// A size of the demo's models, which suits the speed of a machine.
struct DemoPlan {
    let width: Int
    let layerCount: Int
    let headCount: Int
    let peakLearningRate: Double
    /// A preset in place of a RetNet of these sizes.
    var preset: Preset?

    static let vocabularySize = 2048
    static let length = 256
    static let batchSize = 16
    static let tokensPerStep = length * batchSize
    /// Tokens of training per parameter below which the next smaller model is chosen.
    private static let fewestTokensPerParameter = 0.5
    /// Tokens of training below which a smaller model is chosen, since recall of simple stories is learned after about so many.
    private static let fewestTokens = 2e6

    /// The plans, the largest first.
    static let all = [
        DemoPlan(width: 320, layerCount: 5, headCount: 5, peakLearningRate: 4e-3),
        DemoPlan(width: 256, layerCount: 4, headCount: 4, peakLearningRate: 5e-3),
        DemoPlan(width: 192, layerCount: 4, headCount: 3, peakLearningRate: 6e-3),
        DemoPlan(width: 128, layerCount: 3, headCount: 2, peakLearningRate: 8e-3),
    ]

    /// Creates the plan of a preset, beside a Transformer of its width and depth.
    init(preset: Preset) {
        let model = preset.configuration
        self.init(
            width: model.hiddenSize, layerCount: model.layerCount, headCount: max(1, model.hiddenSize / 64),
            peakLearningRate: preset.recipe.peakLearningRate, preset: preset)
    }

    private init(
        width: Int, layerCount: Int, headCount: Int, peakLearningRate: Double, preset: Preset? = nil
    ) {
        self.width = width
        self.layerCount = layerCount
        self.headCount = headCount
        self.peakLearningRate = peakLearningRate
        self.preset = preset
    }

    /// Tokens of training that this size needs.
    var fewestTokenCount: Double {
        get throws {
            max(
                Self.fewestTokens,
                Double(try ModelAccounting(model(.retnet)).parameterCount) * Self.fewestTokensPerParameter)
        }
    }

    /// The sizes in words.
    var description: String { preset?.name ?? "\(layerCount) layers of width \(width)" }

    /// Returns the name of a model in progress and results.
    func title(_ architecture: ComparedArchitecture) -> String {
        architecture == .retnet ? preset?.name ?? architecture.title : architecture.title
    }

    /// Returns a model of the comparisons of the paper, in which all architectures have the same number of parameters.
    func model(_ architecture: ComparedArchitecture) -> LanguageModelConfiguration {
        if architecture == .retnet, var model = preset?.configuration {
            model.vocabularySize = Self.vocabularySize
            return model
        }
        return architecture.configuration(
            width: width, layerCount: layerCount, vocabularySize: Self.vocabularySize,
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
        configuration.task.data.tokenizer = "train:bpe:\(Self.vocabularySize)"
        configuration.task.data.length = Self.length
        configuration.task.data.batchSize = Self.batchSize
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
        let corpus = generator.corpus(byteCount: Self.tokensPerStep * 4)
        let source = try ShuffledWindows(
            stream: TokenStream(texts: [corpus.text], tokenizer: ByteTokenizer()), rowCount: Self.batchSize,
            length: Self.length, seed: 0)
        let form = model.configuration.trainingForm
        let trainer = try Trainer(LanguageModelTask(model, source: source, form: form))
        for _ in 0..<2 { _ = try trainer.makeStep() }
        var timings = Timings()
        for _ in 0..<6 {
            try timings.time {
                _ = try trainer.makeStep()
                try device.synchronize()
            }
        }
        return Double(Self.tokensPerStep) / max(timings.median, 1e-6)
    }
}
