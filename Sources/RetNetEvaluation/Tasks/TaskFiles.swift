import Foundation
import RetNetStorage
import RetNetText

/// Where the documents of tasks are: folders that are searched by name, and files named for a task.
///
/// Files hold JSON lines, plain or compressed with gzip, in the fields of the data sets on the Hugging Face hub as
/// `datasets` exports them. WikiText may also be plain text.
public struct TaskFiles: Sendable {
    /// The folders to search, in order.
    public var folders: [String]
    /// The files that are named for a split of a task.
    public var named: [(task: String, split: EvaluationTask.Split, path: String)]

    /// Creates a set of places.
    public init(
        folders: [String] = [], named: [(task: String, split: EvaluationTask.Split, path: String)] = []
    ) {
        self.folders = folders
        self.named = named
    }

    /// Returns the file of a split; nil if there is none.
    ///
    /// A named file comes before folders. In a folder it is `TASK_SPLIT.jsonl` or `TASK/SPLIT.jsonl`, also with `.gz`,
    /// `.json` or `.txt` (WikiText), with the usual words for a split and a number behind it (`piqa_train1000.jsonl`), and
    /// for a task with nothing but a test split also `TASK.jsonl`. Throws ``EvaluationError/ambiguousData(task:split:paths:)``.
    public func path(_ task: EvaluationTask, _ split: EvaluationTask.Split) throws -> String? {
        if let file = named.last(where: { $0.task == task.name && $0.split == split }) { return file.path }
        for folder in folders {
            let found = Self.candidates(task, split, in: folder)
            guard found.count < 2 else {
                throw EvaluationError.ambiguousData(task: task.name, split: split.rawValue, paths: found)
            }
            if let path = found.first { return path }
        }
        return nil
    }

    private static func candidates(
        _ task: EvaluationTask, _ split: EvaluationTask.Split, in folder: String
    ) -> [String] {
        let names = [task.name] + task.fileNames
        let files = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
        var found = files.filter { file in
            guard let stem = stem(file, task) else { return false }
            return names.contains { matches(stem, name: $0, task, split) }
        }.map { "\(folder)/\($0)" }
        for name in names {
            let inner = "\(folder)/\(name)"
            let files = (try? FileManager.default.contentsOfDirectory(atPath: inner)) ?? []
            found += files.filter { file in
                stem(file, task).map { isWord($0, of: split) } ?? false
            }.map { "\(inner)/\($0)" }
        }
        return found.sorted()
    }

    /// Returns the name of a file in lower case without its ending; nil for files of other kinds.
    private static func stem(_ file: String, _ task: EvaluationTask) -> String? {
        var name = file.lowercased()
        if name.hasSuffix(".gz") { name.removeLast(3) }
        for ending in task.kind == .rolling ? [".jsonl", ".json", ".txt"] : [".jsonl", ".json"] {
            if name.hasSuffix(ending) { return String(name.dropLast(ending.count)) }
        }
        return nil
    }

    private static func matches(
        _ stem: String, name: String, _ task: EvaluationTask, _ split: EvaluationTask.Split
    ) -> Bool {
        guard stem.hasPrefix(name) else { return false }
        let rest = stem.dropFirst(name.count)
        if rest.isEmpty { return task.splits == [split] }
        guard let first = rest.first, "_-.".contains(first) else { return false }
        return isWord(String(rest.dropFirst()), of: split)
    }

    /// Returns true for a word of the split, with digits behind it.
    private static func isWord(_ text: String, of split: EvaluationTask.Split) -> Bool {
        split.words.contains { word in
            text.hasPrefix(word) && text.dropFirst(word.count).allSatisfy { ("0"..."9").contains($0) }
        }
    }

    // MARK: Reading

    /// Reads the documents of a file with their questions.
    ///
    /// Throws `StorageError`, `TextError` and ``EvaluationError/malformedExample(path:line:reason:)``.
    static func documents(_ task: EvaluationTask, path: String) throws
        -> [(document: TaskDocument, question: TaskQuestion)]
    {
        var documents: [(document: TaskDocument, question: TaskQuestion)] = []
        func add(line: Int, _ read: () throws(MalformedExample) -> JSONValue) throws {
            do throws(MalformedExample) {
                let document = try TaskDocument(try read())
                documents.append((document, try task.question(document)))
            } catch {
                throw EvaluationError.malformedExample(
                    path: path, line: line,
                    reason: "\(error.reason); '\(task.name)' needs the fields \(task.fields)")
            }
        }
        if task.kind == .rolling, isPlainText(path) {
            for page in WikiText.pages(try TextFileReader.text(of: path)) {
                try add(line: 0) { () throws(MalformedExample) in .object([("page", .string(page))]) }
            }
        } else {
            do {
                try TextLines.read(path) { line, number in
                    try add(line: number) { () throws(MalformedExample) in try JSONValue(parsing: line) }
                }
            } catch let fault as TextLines.TooLong {
                throw EvaluationError.malformedExample(path: path, line: fault.line, reason: fault.reason)
            }
        }
        guard !documents.isEmpty else {
            throw EvaluationError.malformedExample(path: path, line: 0, reason: "it holds no documents")
        }
        return documents
    }

    private static func isPlainText(_ path: String) -> Bool {
        let name = path.lowercased()
        return name.hasSuffix(".txt") || name.hasSuffix(".txt.gz")
    }
}

extension JSONValue {
    /// Reads one value of UTF-8 JSON text; throws the reason and place as ``MalformedExample``.
    init(parsing data: Data) throws(MalformedExample) {
        do {
            self = try JSONValue(reading: data)
        } catch {
            throw MalformedExample("\(error)")
        }
    }

    /// The kind of the value in error messages.
    var kind: String {
        switch self {
        case .null: "null"
        case .bool(let value): "\(value)"
        case .int(let value): "the number \(value)"
        case .double(let value): "the number \(value)"
        case .string: "a text"
        case .array: "a list"
        case .object: "an object"
        }
    }
}
