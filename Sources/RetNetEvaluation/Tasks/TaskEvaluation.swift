import Foundation
import RetNetModels
import RetNetText

/// The evaluation of a language model on tasks of lm-evaluation-harness, by its protocol.
public struct TaskEvaluation {
    /// The choices of an evaluation.
    public struct Options: Sendable, Equatable {
        /// Examples before each question.
        public var shots = 0
        /// Seed of the generator that draws the examples, as `--seed` of the harness sets it (1234).
        public var seed: UInt64 = 1234
        /// Largest number of documents per task, from the first on; nil for all.
        public var limit: Int?
        /// Bootstrap samples of standard errors; 0 for no standard errors.
        public var bootstrapIterations = 100_000
        /// Tokens that the model reads at most, the harness's `max_length`; longer inputs lose their beginning.
        ///
        /// Nil for models of constant state, which read texts of any length.
        public var maximumLength: Int?
        /// True if every text begins with the begin token, the harness's `add_bos_token`.
        public var addsBeginToken = false
        /// True to add accuracy by bytes where accuracy by code points is measured.
        public var addsByteAccuracy = false
        /// The division of the work.
        public var scoring = LogLikelihoodScorer.Options()

        /// Creates the options of the harness: no examples, all documents.
        public init() {}
    }

    private let scorer: LogLikelihoodScorer
    private let tokenizer: any Tokenizer
    private let options: Options
    /// Documents that are encoded and batched together: enough for rows of equal length, few enough for memory.
    private static let blockSize = 512

    /// Creates an evaluation of one model.
    ///
    /// Throws ``EvaluationError`` if the model lacks the form or some of the tokenizer's tokens, and `TorchError`.
    public init(_ model: LanguageModel, tokenizer: any Tokenizer, options: Options = Options()) throws {
        guard tokenizer.vocabularySize <= model.configuration.vocabularySize else {
            throw EvaluationError.tokenOutOfRange(
                token: tokenizer.vocabularySize - 1, vocabularySize: model.configuration.vocabularySize)
        }
        scorer = try LogLikelihoodScorer(model, options: options.scoring)
        self.tokenizer = tokenizer
        self.options = options
    }

    /// Evaluates one task.
    ///
    /// After every batch `progress` gets the number of documents that are scored and their number in all, and ends the
    /// evaluation by returning false: the result then covers the documents before the block that was not finished.
    /// Throws ``EvaluationError``, `StorageError`, `TextError` and `TorchError`.
    public func evaluate(
        _ task: EvaluationTask, files: TaskFiles,
        progress: (_ documentCount: Int, _ total: Int) throws -> Bool = { _, _ in true }
    ) throws -> TaskResult {
        let prepared = try PreparedTask(task, files: files, options: options)
        var result = TaskResult(prepared, options: options)
        var encoder = try RequestEncoder(
            tokenizer, addsBeginToken: options.addsBeginToken, maximumLength: options.maximumLength)
        var examples = prepared.examples
        let total = prepared.documents.count
        let start = ContinuousClock.now
        for first in stride(from: 0, to: total, by: Self.blockSize) {
            let block = first..<min(first + Self.blockSize, total)
            var texts: [[(context: String, continuation: String)]] = []
            var requests: [[ScoringRequest]] = []
            for index in block {
                let (document, question) = prepared.documents[index]
                texts.append(question.requests(behind: try examples.next(for: document)))
                do throws(MalformedExample) {
                    requests.append(try Self.encode(question, texts[texts.count - 1], &encoder))
                } catch {
                    throw EvaluationError.unscorable(task: task.name, document: index, reason: error.reason)
                }
            }
            let count = max(1, requests.reduce(0) { $0 + $1.count })
            let answers = try scorer.score(requests, cost: &result.cost) { finished in
                let done = block.lowerBound + block.count * finished / count
                return try progress(done, total) || done == total
            }
            // Batches come in order of length: part of a block would be a choice of its documents.
            guard let whole = Self.complete(answers) else { break }
            for (offset, index) in block.enumerated() {
                let (document, question) = prepared.documents[index]
                // The windows of a text count together.
                let own = question.isText ? [Self.total(whole[offset])] : whole[offset]
                result.add(document.value, question, texts[offset], own)
            }
            guard try progress(block.upperBound, total) else { break }
        }
        result.seconds = (ContinuousClock.now - start) / .seconds(1)
        result.aggregate(iterations: options.bootstrapIterations)
        return result
    }

    private static func encode(
        _ question: TaskQuestion, _ texts: [(context: String, continuation: String)],
        _ encoder: inout RequestEncoder
    ) throws(MalformedExample) -> [ScoringRequest] {
        if case .text(let text, _) = question { return encoder.rollingRequests(text) }
        var requests: [ScoringRequest] = []
        for (context, continuation) in texts {
            requests.append(try encoder.request(context: context, continuation: continuation))
        }
        return requests
    }

    private static func complete(_ answers: [[RequestScore?]]) -> [[RequestScore]]? {
        let whole = answers.map { $0.compactMap { $0 } }
        return zip(whole, answers).allSatisfy { $0.count == $1.count } ? whole : nil
    }

    private static func total(_ windows: [RequestScore]) -> RequestScore {
        RequestScore(
            logLikelihood: windows.reduce(0) { $0 + $1.logLikelihood },
            isGreedy: windows.allSatisfy(\.isGreedy))
    }
}

extension TaskQuestion {
    /// True for a text that is predicted as a whole.
    var isText: Bool { if case .text = self { true } else { false } }
}

/// A task with its documents and its examples.
struct PreparedTask {
    let task: EvaluationTask
    /// The documents to score, the first `limit` of the file.
    let documents: [(document: TaskDocument, question: TaskQuestion)]
    let documentCount: Int
    let path: String
    let examples: FewShotContext
    /// The file of the examples; nil without examples.
    let examplesPath: String?

    init(_ task: EvaluationTask, files: TaskFiles, options: TaskEvaluation.Options) throws {
        let path = try Self.path(task, task.evaluatedSplit, files)
        let all = try TaskFiles.documents(task, path: path)
        self.task = task
        self.path = path
        documentCount = all.count
        documents = options.limit.map { Array(all.prefix(max(1, $0))) } ?? all
        // A text that is predicted as a whole has no context for examples.
        guard options.shots > 0, task.kind != .rolling else {
            examples = try FewShotContext(task, count: 0, documents: [], seed: options.seed)
            examplesPath = nil
            return
        }
        let isOwn = task.fewShotSplit == task.evaluatedSplit
        let source = isOwn ? path : try Self.path(task, task.fewShotSplit, files)
        examples = try FewShotContext(
            task, count: options.shots, documents: isOwn ? all : TaskFiles.documents(task, path: source),
            seed: options.seed)
        examplesPath = source
    }

    static func path(_ task: EvaluationTask, _ split: EvaluationTask.Split, _ files: TaskFiles) throws
        -> String
    {
        if let path = try files.path(task, split) { return path }
        let configuration = task.dataset.configuration.map { " (\($0))" } ?? ""
        let source =
            task.dataNote ?? "the data set is '\(task.dataset.path)'\(configuration) on the Hugging Face hub"
        let purpose = split == task.evaluatedSplit ? "" : ", from which few-shot examples are drawn"
        throw EvaluationError.missingData(
            task: task.name, split: split.rawValue,
            hint: "give JSON lines with the fields \(task.fields)\(purpose); \(source)")
    }
}

extension TaskEvaluation {
    /// Checks that the files of a task can be found, before a model is loaded.
    ///
    /// Throws ``EvaluationError/missingData(task:split:hint:)``.
    public static func check(_ task: EvaluationTask, files: TaskFiles, shots: Int) throws {
        _ = try PreparedTask.path(task, task.evaluatedSplit, files)
        if shots > 0, task.kind != .rolling { _ = try PreparedTask.path(task, task.fewShotSplit, files) }
    }
}
