import Foundation
import RetNetStorage

/// The figures of one task, with what they were measured on.
public struct TaskResult: Sendable {
    /// A metric with its value and standard error.
    public struct Figure: Sendable, Equatable {
        /// The metric.
        public var metric: TaskMetric
        /// The value over all scored documents; nil if there are none.
        public var value: Double?
        /// The standard error; nil where the harness has none.
        public var standardError: Double?
    }

    /// A scored document.
    public struct Sample: Sendable {
        /// The document as the harness records it: that of the file, with what the task changes or adds.
        public var document: JSONValue
        /// The right answer, as the harness records it.
        public var target: String
        /// The requests.
        public var requests: [(context: String, continuation: String)]
        /// The answers to the requests; one of the whole text where it is predicted in windows.
        public var answers: [RequestScore]
        /// The value of each metric.
        public var values: [TaskMetric.Value]
    }

    /// The task.
    public let task: EvaluationTask
    /// The metrics.
    public let metrics: [TaskMetric]
    /// Examples before each question.
    public let shots: Int
    /// The file with the documents.
    public let path: String
    /// The file with the few-shot examples; nil without examples.
    public let examplesPath: String?
    /// The number of documents of the file.
    public let documentCount: Int
    /// The number of documents that were to be scored.
    public let requestedCount: Int
    /// The scored documents.
    public private(set) var samples: [Sample] = []
    /// The figures, in the order of ``metrics``.
    public private(set) var figures: [Figure] = []
    /// Documents whose answers were known from an evaluation that was interrupted.
    public internal(set) var knownCount = 0
    /// What scoring has run.
    public internal(set) var cost = ScoringCost()
    /// Wall-clock time of encoding and scoring in seconds.
    public internal(set) var seconds = 0.0

    init(_ prepared: PreparedTask, options: TaskEvaluation.Options) {
        task = prepared.task
        var metrics = task.metrics
        if options.addsByteAccuracy, let index = metrics.firstIndex(of: .normalizedAccuracy) {
            metrics.insert(.byteAccuracy, at: index + 1)
        }
        self.metrics = metrics
        shots = prepared.examples.count
        path = prepared.path
        examplesPath = prepared.examplesPath
        documentCount = prepared.documentCount
        requestedCount = prepared.documents.count
    }

    /// True if all documents were scored that should be.
    public var isComplete: Bool { samples.count == requestedCount }

    mutating func add(
        _ document: TaskDocument, _ question: TaskQuestion,
        _ requests: [(context: String, continuation: String)], _ answers: [RequestScore]
    ) {
        samples.append(
            Sample(
                document: task.processed?(document, question) ?? document.value,
                target: question.target(isText: task.targetIsText), requests: requests,
                answers: answers,
                values: metrics.map { $0.value(question, answers) }))
    }

    mutating func aggregate(iterations: Int) {
        figures = metrics.enumerated().map { index, metric in
            let values = samples.map { $0.values[index] }
            return Figure(
                metric: metric, value: metric.aggregate(values),
                standardError: metric.standardError(values, iterations: iterations))
        }
    }
}

extension TaskResult.Sample {
    /// SHA-256 of the document, of the first request's first argument and of the target, as the harness has them.
    func checksums(_ kind: EvaluationTask.Kind) -> (document: String, prompt: String, target: String) {
        // The one argument of a text to predict as a whole is the text.
        let prompt = requests.first.map { kind == .rolling ? $0.continuation : $0.context } ?? ""
        return (
            ContentDigest.sha256(document.text(indent: 2)), ContentDigest.sha256(prompt),
            ContentDigest.sha256(target)
        )
    }

    /// Returns the object of a line of the harness's file of samples.
    func json(index: Int, task: EvaluationTask, metrics: [TaskMetric]) -> JSONValue {
        let isText = task.kind == .rolling
        let answers: [JSONValue] = self.answers.map { answer in
            isText
                ? .string("\(answer.logLikelihood)")
                : [.string("\(answer.logLikelihood)"), .string(answer.isGreedy ? "True" : "False")]
        }
        let checksums = checksums(task.kind)
        var members: [(name: String, value: JSONValue)] = [
            ("doc_id", .int(index)), ("doc", document), ("target", .string(target)),
            (
                "arguments",
                .object(
                    requests.enumerated().map { index, request in
                        let texts: [(name: String, value: JSONValue)] =
                            isText
                            ? [("arg_0", .string(request.continuation))]
                            : [
                                ("arg_0", .string(request.context)), ("arg_1", .string(request.continuation)),
                            ]
                        return ("gen_args_\(index)", .object(texts))
                    })
            ),
            ("resps", .array(answers.map { [$0] })), ("filtered_resps", .array(answers)),
            ("filter", "none"), ("metrics", .array(metrics.map { .string($0.rawValue) })),
            ("doc_hash", .string(checksums.document)), ("prompt_hash", .string(checksums.prompt)),
            ("target_hash", .string(checksums.target)),
        ]
        for (metric, value) in zip(metrics, values) {
            switch value {
            case .number(let number):
                // The harness counts greedy answers in whole numbers.
                let isCount = metric == .accuracy && task.kind == .logLikelihood
                members.append((metric.rawValue, isCount ? .int(Int(number)) : .double(number)))
            case .weighted(let number, let weight):
                members.append((metric.rawValue, [.double(number), .int(weight)]))
            }
        }
        return .object(members)
    }
}
