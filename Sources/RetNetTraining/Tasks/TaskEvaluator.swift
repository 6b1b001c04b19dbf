import RetNetEvaluation
import RetNetGeneration
import RetNetModels
import RetNetSettings
import RetNetText
import RetNetTorch

/// Measures a T5 on text-to-text examples: with the true tokens before each target, and by its own outputs.
public struct TaskEvaluator {
    private let model: T5Model
    private let tokenizer: any Tokenizer
    private let inputLength: Int
    private let targetLength: Int
    private let batchSize: Int

    /// Measures a model; sources and targets are cut to the lengths given, ends included.
    public init(
        _ model: T5Model, tokenizer: any Tokenizer, inputLength: Int = 512, targetLength: Int = 64,
        batchSize: Int = 32
    ) {
        self.model = model
        self.tokenizer = tokenizer
        self.inputLength = max(1, inputLength)
        self.targetLength = max(1, targetLength)
        self.batchSize = max(1, batchSize)
    }

    /// Returns the figures of a task's examples; outputs are searched for greedily by default.
    ///
    /// `progress` gets the number of examples done and ends the measurement early by returning false: the other
    /// examples then do not count. Throws ``TrainingError``, `T5Error`, `BeamSearchError` and `TorchError`.
    public func evaluate(
        _ task: TextToTextTask, _ examples: [TextToTextExample],
        search: BeamSearchParameters = BeamSearchParameters(), progress: (Int) -> Bool = { _ in true }
    ) throws -> TaskReport {
        try TextToTextData.check(tokenizer, model.configuration)
        let end = Int32(clamping: model.configuration.endToken)
        let pairs = examples.map {
            EncodedExample(
                source: tokenizer.encode($0.input), target: tokenizer.encode($0.target), endToken: end,
                sourceLength: inputLength, targetLength: targetLength)
        }
        var parameters = search
        parameters.maxTokens = targetLength
        // Examples of similar length together need little padding.
        let order = pairs.indices.sorted {
            (pairs[$0].source.count, $0) < (pairs[$1].source.count, $1)
        }
        var outputs = [String?](repeating: nil, count: examples.count)
        var score = T5Score()
        for start in stride(from: 0, to: order.count, by: batchSize) {
            let indices = Array(order[start..<min(start + batchSize, order.count)])
            let part = try model.score([{ TextToTextBatch(indices.map { pairs[$0] }) }])
            score.crossEntropy += part.crossEntropy
            score.correctCount += part.correctCount
            score.targetCount += part.targetCount
            let found = try T5Generator(model).generate(indices.map { pairs[$0].source }, parameters)
            for (index, rows) in zip(indices, found) {
                outputs[index] = tokenizer.decode((rows.first?.tokens ?? []).filter { $0 != end })
            }
            if !progress(start + indices.count) { break }
        }
        let done = outputs.indices.filter { outputs[$0] != nil }
        let (texts, truths) = (done.map { outputs[$0] ?? "" }, done.map { examples[$0] })
        let exact = zip(texts, truths).count { $0.1.isAnsweredExactly(by: $0.0) }
        let targets = Double(max(1, score.targetCount))
        return TaskReport(
            task: task, exampleCount: done.count, loss: score.crossEntropy / targets,
            tokenAccuracy: Double(score.correctCount) / targets,
            exactTextShare: Double(exact) / Double(max(1, done.count)), metrics: task.score(texts, truths),
            outputs: texts)
    }
}

/// The figures of a model on the examples of a text-to-text task.
public struct TaskReport: Sendable {
    /// Task.
    public let task: TextToTextTask
    /// Measured examples.
    public let exampleCount: Int
    /// Mean cross entropy of the targets in nats, with the true tokens before each.
    public let loss: Double
    /// Share of target tokens, ends included, that had the largest logit with the true tokens before each.
    public let tokenAccuracy: Double
    /// Share of examples whose output is exactly one of the right texts, apart from spaces at the ends.
    public let exactTextShare: Double
    /// Metrics of the task for the outputs, from 0 to 100, the usual ones first.
    public let metrics: [(name: String, value: Double)]
    /// Outputs in the order of the examples.
    public let outputs: [String]

    /// Mean of the metrics, as benchmarks average them over tasks.
    public var score: Double {
        metrics.isEmpty ? 0 : metrics.reduce(0) { $0 + $1.value } / Double(metrics.count)
    }

    /// All figures under their names in files.
    public var tree: SettingsTree {
        var figures = SettingsObject()
        for metric in metrics { figures[metric.name] = .double(metric.value) }
        return [
            "task": .string(task.rawValue), "examples": .int(exampleCount), "loss": .double(loss),
            "token_accuracy": .double(tokenAccuracy), "exact_text": .double(exactTextShare),
            "score": .double(score),
            "metrics": .object(figures),
        ]
    }
}
