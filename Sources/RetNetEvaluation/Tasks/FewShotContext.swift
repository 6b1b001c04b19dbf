/// The few-shot examples of a task, drawn for each document as the harness draws them.
///
/// One generator of Python's `random` serves all documents of a task in their order, so that the examples of a document
/// depend on all before it.
public struct FewShotContext: Sendable {
    /// The number of examples before each question.
    public let count: Int
    private let examples: [(document: TaskDocument, text: String)]
    private let excludesDocument: Bool
    private let taskName: String
    private var random: PythonRandom

    /// Takes `count` examples for each question from the documents of a file.
    ///
    /// Throws ``EvaluationError/tooFewExamples(task:needed:found:)`` if the file has fewer than are drawn at once.
    init(
        _ task: EvaluationTask, count: Int, documents: [(document: TaskDocument, question: TaskQuestion)],
        seed: UInt64
    ) throws {
        self.count = count
        // Rolling requests have no context.
        examples = count > 0 ? documents.map { ($0.document, $0.question.example) } : []
        excludesDocument = task.excludesDocument
        taskName = task.name
        random = PythonRandom(seed: seed)
        let needed = count > 0 && excludesDocument ? count + 1 : count
        guard examples.count >= needed else {
            throw EvaluationError.tooFewExamples(task: task.name, needed: needed, found: examples.count)
        }
    }

    /// Returns the text of the examples of the next document, which ends where its question begins.
    mutating func next(for document: TaskDocument) throws -> String {
        guard count > 0 else { return "" }
        var chosen = try sample(examples.indices.map { $0 }, count + (excludesDocument ? 1 : 0))
        if excludesDocument {
            // One more is drawn than needed, in place of the document itself if it is among them.
            chosen = chosen.filter { examples[$0].document != document }
            if chosen.count < count {
                chosen = try sample(examples.indices.filter { examples[$0].document != document }, count)
            }
            chosen = Array(chosen.prefix(count))
        }
        return chosen.map { examples[$0].text }.joined()
    }

    private mutating func sample(_ pool: [Int], _ count: Int) throws -> [Int] {
        guard let indices = random.sampleIndices(pool.count, count: count) else {
            throw EvaluationError.tooFewExamples(task: taskName, needed: count, found: pool.count)
        }
        return indices.map { pool[$0] }
    }
}
