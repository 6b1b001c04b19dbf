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
struct TextTraining {
    /// The training settings shared by all contenders of a comparison.
    struct Settings {
        var steps: Int
        var batch: Int
        var length: Int
        var learningRate: Double
        /// Micro-batches per step.
        var accumulation = 1
        /// Steps of linear warm-up; nil for 1.5 % of all steps, the paper's share.
        var warmup: Int?
        var dropout = 0.0
        /// True to recompute activations in the backward pass, for models that would not fit into memory otherwise.
        var recomputes = false
        /// What a token is: `bytes` or `tokens`.
        var unit = "bytes"

        var tokenCount: Int { steps * batch * length * accumulation }
        var warmupStepCount: Int { max(1, warmup ?? steps * 3 / 200) }

        /// Returns the configuration of the run with AdamW.
        func trainingConfiguration(learningRate: Double?) -> TrainingConfiguration {
            var result = TrainingConfiguration()
            result.optimizer.learningRate = learningRate ?? self.learningRate
            result.schedule.warmupStepCount = warmupStepCount
            result.duration = .steps(steps)
            result.accumulationCount = accumulation
            return result
        }

        /// The settings in words, for the report.
        ///
        /// They identify the results in a folder: results with other words are refused.
        var text: String {
            "\(Format.grouped(steps)) steps of \(batch * accumulation) x \(length) \(unit), AdamW (0.9, 0.98), weight"
                + " decay 0.05, learning rate \(learningRate) after \(warmupStepCount) steps of warm-up, falling"
                + " linearly to nothing, clip norm 2, \(dropout > 0 ? "dropout \(dropout)" : "no dropout")"
        }
    }

    let context: ExperimentContext
    let settings: Settings

    /// Trains and scores a model: returns `training`, the final loss, and the numbers of `score`.
    ///
    /// A model that diverges has no scores but `diverged`, which is a result as well. `score` is called on the
    /// trained model.
    func values(
        _ configuration: LanguageModelConfiguration, seed: Int, learningRate: Double? = nil,
        _ progress: ExperimentUnit.Progress, score: (LanguageModel) throws -> [String: Double]
    ) throws -> [String: Double] {
        do {
            let trained = try train(configuration, seed: seed, learningRate: learningRate, progress)
            try progress.report("scoring", fraction: 0.9)
            return try score(trained.model).merging(["training": trained.finalLoss]) { $1 }
        } catch TrainingError.diverged {
            return ["diverged": 1]
        }
    }

    /// Returns the trained model and its mean loss over the last tenth of the steps.
    ///
    /// The order of the text depends on the seed only, so that it is the same for all contenders.
    private func train(
        _ configuration: LanguageModelConfiguration, seed: Int, learningRate: Double?,
        _ progress: ExperimentUnit.Progress
    ) throws -> (model: LanguageModel, finalLoss: Double) {
        var configuration = configuration
        configuration.dropout = DropoutConfiguration(
            embedding: settings.dropout, residual: settings.dropout)
        try configuration.validate()
        let store = ParameterStore(source: .random(seed: UInt64(seed)), device: context.device)
        let model = try LanguageModel(configuration, parameters: store, computeType: context.computeType)
        model.recomputesActivations = settings.recomputes
        let source = try ShuffledWindows(
            stream: context.texts.training, rowCount: settings.batch, length: settings.length,
            seed: UInt64(seed))
        let task = try LanguageModelTask(model, source: source, form: configuration.trainingForm)
        let trainer = try Trainer(
            task, settings.trainingConfiguration(learningRate: learningRate),
            dropoutSeed: UInt64(seed) ^ 0x5eed)
        let start = ContinuousClock.now
        let finalLoss = try trainer.finalLoss { step in
            let seconds = (ContinuousClock.now - start) / .seconds(1)
            let rate = Double(step.totalTokenCount) / max(seconds, 1e-9)
            // Scoring takes about a tenth of the time.
            try progress.report(
                "loss \(Format.fixed(step.loss, decimals: 3))  \(Format.count(rate)) tok/s",
                fraction: 0.9 * Double(step.step) / Double(trainer.stepCount))
        }
        try store.setRequiresGradient(false)
        return (model, finalLoss)
    }

    // MARK: Scores

    /// Returns nats per byte of a text, in independent windows of the training length.
    ///
    /// Throws ``ExperimentError/unusable(_:)`` for a text without bytes to predict.
    func natsPerByte(_ model: LanguageModel, _ stream: TokenStream) throws -> Double {
        let options = PerplexityOptions.independent(
            context: settings.length, form: model.configuration.trainingForm)
        let result = try Perplexity(model, options: options).measure(stream)
        guard let byteCount = result.byteCount, byteCount > 0 else {
            throw ExperimentError.unusable("a text has no bytes to predict: use longer texts")
        }
        // A model that has diverged has a loss that is not finite, which is a result.
        return result.totalNats / Double(byteCount)
    }

    /// Returns the share of tokens of a text that had the largest logit, in independent windows.
    func accuracy(_ model: LanguageModel, _ stream: TokenStream) throws -> Double {
        var windows = try EvaluationWindows(
            stream: stream, length: settings.length,
            mode: .independent(rowCount: settings.batch, overlap: 0))
        var (correct, count) = (0.0, 0)
        let form = model.configuration.trainingForm
        while let batch = try windows.next() {
            correct += try withoutGradients {
                let shape = [batch.rowCount, batch.length]
                let tokens = try Tensor.from(batch.tokens, shape).to(.int64, on: model.device)
                let targets = try Tensor.from(batch.targets, shape).to(.int64, on: model.device)
                let best = try model(tokens, form: form).logits.argmax(axis: -1)
                return try best.isEqual(to: targets).to(.int64).sum().item()
            }
            count += batch.targetCount
        }
        return correct / Double(max(1, count))
    }
}

extension Trainer {
    /// Makes all steps and returns the mean loss over the last tenth of them; `report` is called after every step.
    func finalLoss(_ report: (TrainingStep) throws -> Void) throws -> Double {
        var losses: [Double] = []
        try makeSteps { step in
            losses.append(step.loss)
            try report(step)
            return true
        }
        let tail = losses.suffix(max(1, losses.count / 10))
        return tail.reduce(0, +) / Double(tail.count)
    }
}
