import Foundation
import RetNetEvaluation
import RetNetLayers
import RetNetMixers
import RetNetModels
import RetNetReporting
import RetNetText
import RetNetTorch
import RetNetTraining

/// Trains one language model on the texts of an experiment, in memory, and scores it.
struct TextRun {
    /// How all contenders of a comparison are trained.
    struct Settings {
        var steps: Int
        var batch: Int
        var length: Int
        var learningRate: Double
        /// Micro-batches of one step.
        var accumulation = 1
        /// Steps of warm-up; nil for 1.5 % of all, the paper's share.
        var warmup: Int?
        var dropout = 0.0
        /// Whether activations are computed again in the backward pass, for models that would not fit otherwise.
        var recomputes = false

        var tokenCount: Int { steps * batch * length * accumulation }
        var warmupStepCount: Int { max(1, warmup ?? steps * 3 / 200) }

        /// For the report.
        var text: String {
            "\(Format.grouped(steps)) steps of \(batch * accumulation) x \(length) bytes, AdamW (0.9, 0.98), weight"
                + " decay 0.05, learning rate \(learningRate) after \(warmupStepCount) steps of warm-up, falling"
                + " linearly to nothing, clip norm 2, \(dropout > 0 ? "dropout \(dropout)" : "no dropout")"
        }
    }

    let context: ExperimentContext
    let settings: Settings

    /// The trained model.
    ///
    /// The order of the text depends on the seed alone, so that all contenders see the same.
    func train(
        _ configuration: LanguageModelConfiguration, seed: Int, learningRate: Double? = nil,
        _ progress: ExperimentUnit.Progress
    ) throws -> (model: LanguageModel, finalLoss: Double) {
        var configuration = configuration
        configuration.dropout = DropoutConfiguration(
            embedding: settings.dropout, residual: settings.dropout)
        try configuration.validate()
        let store = ParameterStore(source: .random(seed: UInt64(seed)), device: context.device)
        let model = try LanguageModel(configuration, parameters: store, computeType: context.computeType)
        var training = TrainingConfiguration()
        training.optimizer.learningRate = learningRate ?? settings.learningRate
        training.schedule.warmupStepCount = settings.warmupStepCount
        training.duration = .steps(settings.steps)
        training.accumulationCount = settings.accumulation
        model.recomputesActivations = settings.recomputes
        let source = try ShuffledWindows(
            stream: context.texts.training, rowCount: settings.batch, length: settings.length,
            seed: UInt64(seed))
        let task = try LanguageModelTask(model, source: source, form: configuration.trainingForm)
        let trainer = try Trainer(task, training, dropoutSeed: UInt64(seed) ^ 0x5eed)
        var losses: [Double] = []
        let start = ContinuousClock.now
        for step in 1...settings.steps {
            let result = try trainer.makeStep()
            losses.append(result.loss)
            let seconds = (ContinuousClock.now - start) / .seconds(1)
            let rate = Double(result.totalTokenCount) / max(seconds, 1e-9)
            // Scoring takes about a tenth of the time.
            try progress.report(
                "loss \(Format.fixed(result.loss, decimals: 3))  \(Format.count(rate)) tok/s",
                fraction: 0.9 * Double(step) / Double(settings.steps))
        }
        try store.setRequiresGradient(false)
        let tail = losses.suffix(max(1, losses.count / 10))
        return (model, tail.reduce(0, +) / Double(tail.count))
    }

    /// Nats a byte of a text, in windows of the training length that know nothing of each other.
    func natsPerByte(_ model: LanguageModel, _ stream: TokenStream) throws -> Double {
        let options = PerplexityOptions.independent(
            context: settings.length, form: model.configuration.trainingForm)
        let perplexity = try Perplexity(
            model, byteCounts: TokenByteCounts(ByteTokenizer()), options: options)
        let result = try perplexity.measure(stream)
        return result.totalNats / Double(max(1, result.byteCount))
    }

    /// The name of a domain's score, which no other value has.
    static func key(domain: String) -> String { "domain \(domain)" }

    /// Trains and scores: `validation`, one value a domain, `training`, and the model's size.
    ///
    /// A model that diverges has no scores but `diverged`: that is a result too.
    func values(
        _ configuration: LanguageModelConfiguration, seed: Int, learningRate: Double? = nil,
        _ progress: ExperimentUnit.Progress
    ) throws -> [String: Double] {
        let accounting = try ModelAccounting(configuration)
        var values = [
            "parameters": Double(accounting.parameterCount),
            "block_parameters": Double(
                accounting.parameters.mixers + accounting.parameters.feedForwards),
            "state_numbers": Double(accounting.stateElementCount(tokenCount: settings.length)),
        ]
        let model: LanguageModel
        do {
            let trained = try train(configuration, seed: seed, learningRate: learningRate, progress)
            model = trained.model
            values["training"] = trained.finalLoss
        } catch TrainingError.diverged {
            values["diverged"] = 1
            return values
        }
        try progress.report("scoring", fraction: 0.9)
        values["validation"] = try natsPerByte(model, context.texts.validation)
        for (index, domain) in context.texts.domains.enumerated() {
            values[Self.key(domain: domain.name)] = try natsPerByte(model, domain.stream)
            let share = Double(index + 2) / Double(context.texts.domains.count + 1)
            try progress.report("scored \(domain.name)", fraction: 0.9 + 0.1 * share)
        }
        return values
    }
}
