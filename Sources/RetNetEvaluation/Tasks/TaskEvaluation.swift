import Foundation
import RetNetModels
import RetNetStorage
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

    private let scorer: any RequestScorer
    private let tokenizer: any Tokenizer
    private let options: Options
    /// Documents that are encoded and batched together: enough for rows of equal length, few enough for memory.
    private static let blockSize = 512

    /// Creates an evaluation of one model.
    ///
    /// Throws ``EvaluationError`` if the model lacks the form or some of the tokenizer's tokens, and `TorchError`.
    public init(_ model: LanguageModel, tokenizer: any Tokenizer, options: Options = Options()) throws {
        try self.init(
            LogLikelihoodScorer(model, options: options.scoring),
            vocabularySize: model.configuration.vocabularySize, tokenizer: tokenizer, options: options)
    }

    /// Creates an evaluation with what scores the requests by a model of `vocabularySize` tokens.
    ///
    /// Throws ``EvaluationError`` if the model lacks some of the tokenizer's tokens.
    public init(
        _ scorer: any RequestScorer, vocabularySize: Int, tokenizer: any Tokenizer,
        options: Options = Options()
    ) throws {
        guard tokenizer.vocabularySize <= vocabularySize else {
            throw EvaluationError.tokenOutOfRange(
                token: tokenizer.vocabularySize - 1, vocabularySize: vocabularySize)
        }
        self.scorer = scorer
        self.tokenizer = tokenizer
        self.options = options
    }

    /// Evaluates one task.
    ///
    /// After every batch `progress` gets the number of documents that are scored and their number in all, and ends the
    /// evaluation by returning false: the result then covers the documents before the block that was not finished.
    /// Answers that `log` has are not computed again, and it gets the others after every batch.
    /// Throws ``EvaluationError``, `StorageError`, `TextError` and `TorchError`.
    public func evaluate(
        _ task: EvaluationTask, files: TaskFiles, log: AnswerLog? = nil,
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
            let range = first..<min(first + Self.blockSize, total)
            var block = DocumentBlock()
            for index in range {
                let (document, question) = prepared.documents[index]
                let texts = question.requests(behind: try examples.next(for: document))
                if let known = log?.answers(index, texts) {
                    result.knownCount += 1
                    block.add(index, texts, known: known)
                    continue
                }
                do throws(MalformedExample) {
                    block.add(index, texts, requests: try Self.encode(question, texts, &encoder))
                } catch {
                    throw EvaluationError.unscorable(task: task.name, document: index, reason: error.reason)
                }
            }
            _ = try scorer.score(block.requests, cost: &result.cost) { finished in
                for (request, answer) in finished {
                    guard let (entry, answers) = block.finish(request, answer) else { continue }
                    log?.add(entry.index, entry.texts, answers)
                }
                try log?.flush()
                let done = range.lowerBound + block.finishedCount
                return try progress(done, total) || done == total
            }
            // Batches come in order of length: part of a block would be a choice of its documents.
            guard block.finishedCount == range.count else { break }
            for (entry, answers) in block.finished {
                let (document, question) = prepared.documents[entry.index]
                // The windows of a text count together.
                let own = question.isText ? [Self.total(answers)] : answers
                result.add(document, question, entry.texts, own)
            }
            guard try progress(range.upperBound, total) else { break }
        }
        result.seconds = (ContinuousClock.now - start) / .seconds(1)
        result.aggregate(iterations: options.bootstrapIterations)
        return result
    }

    /// Returns what the answers to a task depend on, besides its documents: what an ``AnswerLog`` must agree on.
    ///
    /// `model` names the files of the model, `elementType` that of computation.
    public func identity(of task: EvaluationTask, model: String, elementType: String) -> JSONValue {
        [
            "task": .string(task.name), "version": .string(task.version), "model": .string(model),
            "dtype": .string(elementType), "tokenizer": .string(tokenizer.identity),
            "shots": .int(options.shots), "seed": .int(Int(clamping: options.seed)),
            "context": options.maximumLength.map { .int($0) } ?? .null,
            "add_bos": .bool(options.addsBeginToken), "form": .string(options.scoring.form.description),
        ]
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

    private static func total(_ windows: [RequestScore]) -> RequestScore {
        RequestScore(
            logLikelihood: windows.reduce(0) { $0 + $1.logLikelihood },
            isGreedy: windows.allSatisfy(\.isGreedy))
    }
}

/// Documents whose requests are scored together, with the answers that are known.
private struct DocumentBlock {
    struct Entry {
        let index: Int
        let texts: [(context: String, continuation: String)]
    }

    /// The requests of each document; none where the answers were known before.
    private(set) var requests: [[ScoringRequest]] = []
    private(set) var finishedCount = 0
    private var entries: [Entry] = []
    private var answers: [[RequestScore?]] = []
    /// The place in `answers` of each request, counted through all documents.
    private var places: [(entry: Int, answer: Int)] = []
    private var missing: [Int] = []

    mutating func add(
        _ index: Int, _ texts: [(context: String, continuation: String)], known: [RequestScore]
    ) {
        append(Entry(index: index, texts: texts), [], known.map { $0 })
    }

    mutating func add(
        _ index: Int, _ texts: [(context: String, continuation: String)], requests: [ScoringRequest]
    ) {
        places += requests.indices.map { (entries.count, $0) }
        append(Entry(index: index, texts: texts), requests, requests.map { _ in nil })
    }

    private mutating func append(_ entry: Entry, _ requests: [ScoringRequest], _ answers: [RequestScore?]) {
        entries.append(entry)
        self.requests.append(requests)
        self.answers.append(answers)
        missing.append(requests.count)
        if requests.isEmpty { finishedCount += 1 }
    }

    /// Records an answer; returns the document that it completes, with all of its answers.
    mutating func finish(_ request: Int, _ answer: RequestScore) -> (Entry, [RequestScore])? {
        let place = places[request]
        answers[place.entry][place.answer] = answer
        missing[place.entry] -= 1
        guard missing[place.entry] == 0 else { return nil }
        finishedCount += 1
        return (entries[place.entry], answers[place.entry].compactMap { $0 })
    }

    /// The documents with their answers, all of which must be there.
    var finished: [(Entry, [RequestScore])] {
        zip(entries, answers).map { ($0, $1.compactMap { $0 }) }
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
