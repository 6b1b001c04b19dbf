import Foundation
import RetNetStorage
import RetNetText

/// The examples of a task in JSON lines, plain or compressed with gzip; the first bytes determine which.
public enum TextToTextFile {
    /// Reads all examples of a file in their order, one JSON object per line; blank lines are skipped.
    ///
    /// A line may have 16 MiB at most, so memory use follows from the examples. Throws `StorageError`, `TextError`
    /// and ``EvaluationError/malformedExample(path:line:reason:)``.
    public static func examples(_ task: TextToTextTask, path: String) throws -> [TextToTextExample] {
        var examples: [TextToTextExample] = []
        do {
            try TextLines.read(path) { line, number in
                guard let object = try? JSONSerialization.jsonObject(with: line) as? [String: Any] else {
                    throw EvaluationError.malformedExample(
                        path: path, line: number, reason: "it is not a JSON object")
                }
                do {
                    examples.append(try task.example(object))
                } catch let error as MalformedExample {
                    throw EvaluationError.malformedExample(path: path, line: number, reason: error.reason)
                }
            }
        } catch let fault as TextLines.TooLong {
            throw EvaluationError.malformedExample(path: path, line: fault.line, reason: fault.reason)
        }
        guard !examples.isEmpty else {
            throw EvaluationError.malformedExample(path: path, line: 0, reason: "it holds no examples")
        }
        return examples
    }
}
