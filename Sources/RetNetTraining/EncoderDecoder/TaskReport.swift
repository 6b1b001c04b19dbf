import RetNetEvaluation
import RetNetSettings

/// What a model reached on the examples of a text-to-text task.
public struct TaskReport: Sendable {
    /// Which task.
    public let task: TextToTextTask
    /// How many examples were measured.
    public let exampleCount: Int
    /// Mean cross entropy of the targets in nats, with the true tokens before each.
    public let loss: Double
    /// The share of target tokens, ends included, that had the largest logit with the true tokens before each.
    public let tokenAccuracy: Double
    /// The share of examples whose output is one of the right texts, letter by letter.
    public let exactTextShare: Double
    /// The figures of the task for the outputs, from 0 to 100, the usual ones first.
    public let metrics: [(name: String, value: Double)]
    /// The outputs in the order of the examples.
    public let outputs: [String]

    /// The mean of the metrics, as benchmarks average them over tasks.
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
