import RetNetModels
import RetNetText
import RetNetTorch
import RetNetTraining

extension TextRun {
    /// The share of bytes of a text that had the largest logit, in windows that know nothing of each other.
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

    /// Trains and scores on the validation text alone: `loss` in nats a byte, `accuracy`, and `training`.
    ///
    /// A model that diverges has no scores but `diverged`.
    func scores(
        _ configuration: LanguageModelConfiguration, seed: Int, learningRate: Double,
        _ progress: ExperimentUnit.Progress
    ) throws -> [String: Double] {
        do {
            let trained = try train(configuration, seed: seed, learningRate: learningRate, progress)
            try progress.report("scoring", fraction: 0.95)
            return [
                "training": trained.finalLoss,
                "loss": try natsPerByte(trained.model, context.texts.validation),
                "accuracy": try accuracy(trained.model, context.texts.validation),
            ]
        } catch TrainingError.diverged {
            return ["diverged": 1]
        }
    }
}
