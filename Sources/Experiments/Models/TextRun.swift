import Evaluation
import Foundation
import Layers
import Mixers
import Models
import Text
import Torch
import Training

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
        var dropout = 0.0

        var tokenCount: Int { steps * batch * length * accumulation }

        /// For the report.
        var text: String {
            "\(steps) steps of \(batch * accumulation) × \(length) bytes, AdamW (0.9, 0.98), weight decay 0.05,"
                + " learning rate \(learningRate) after 1.5 % of warm-up, falling linearly to nothing, clip norm 2"
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
        var options = Trainer.Options()
        options.optimizer.learningRate = learningRate ?? settings.learningRate
        options.schedule.warmupStepCount = max(1, settings.steps * 3 / 200)
        options.stepCount = settings.steps
        options.accumulationCount = settings.accumulation
        options.form = configuration.trainingForm
        options.dropoutSeed = UInt64(seed) ^ 0x5eed
        let source = try ShuffledWindows(
            stream: context.texts.training, rowCount: settings.batch, length: settings.length,
            seed: UInt64(seed))
        let trainer = try Trainer(model, source: source, options: options)
        var losses: [Double] = []
        let start = ContinuousClock.now
        for step in 1...settings.steps {
            let result = try trainer.makeStep()
            losses.append(result.loss)
            if step % 10 == 0 || step == settings.steps {
                let seconds = (ContinuousClock.now - start) / .seconds(1)
                let rate = Double(result.totalTokenCount) / max(seconds, 1e-9)
                try progress.report(
                    "step \(step)/\(settings.steps) loss \(Self.short(result.loss)) \(Int(rate)) tok/s")
            }
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

    /// Trains and scores: `validation`, one value a domain, `training`, and the model's size.
    func values(
        _ configuration: LanguageModelConfiguration, seed: Int, learningRate: Double? = nil,
        _ progress: ExperimentUnit.Progress
    ) throws -> [String: Double] {
        let (model, loss) = try train(configuration, seed: seed, learningRate: learningRate, progress)
        let accounting = try ModelAccounting(configuration)
        var values = [
            "training": loss, "parameters": Double(accounting.parameterCount),
            "block_parameters": Double(
                accounting.parameters.mixers + accounting.parameters.feedForwards),
            "state_numbers": Double(accounting.stateElementCount(tokenCount: settings.length)),
        ]
        try progress.report("scoring")
        values["validation"] = try natsPerByte(model, context.texts.validation)
        for domain in context.texts.domains {
            values[domain.name] = try natsPerByte(model, domain.stream)
        }
        return values
    }

    private static func short(_ value: Double) -> String { String(format: "%.3f", value) }
}
