import Foundation
import RetNetStorage

/// Reads the examples of a task from JSON lines, plain or compressed (`.gz`).
public enum TextToTextFile {
    private static let maximumByteCount = 1 << 30

    /// All examples of a file in their order; throws `StorageError` and ``EvaluationError/malformedExample(path:line:reason:)``.
    public static func examples(_ task: TextToTextTask, path: String) throws -> [TextToTextExample] {
        var bytes = [UInt8]()
        if path.hasSuffix(".gz") {
            try Gzip.decompress(file: path) { piece in
                guard bytes.count + piece.count <= maximumByteCount else {
                    throw EvaluationError.malformedExample(
                        path: path, line: 0, reason: "the file is too large")
                }
                bytes.append(contentsOf: piece)
            }
        } else {
            try MappedFile(path: path).withUnsafeBytes { bytes = Array($0) }
        }
        var examples: [TextToTextExample] = []
        // Only line feeds separate lines: texts may hold other line separators.
        for (index, line) in bytes.split(separator: 0x0A).enumerated() {
            guard let object = try? JSONSerialization.jsonObject(with: Data(line)) as? [String: Any] else {
                throw EvaluationError.malformedExample(
                    path: path, line: index + 1, reason: "it is not a JSON object")
            }
            do {
                examples.append(try task.example(object))
            } catch let error {
                throw EvaluationError.malformedExample(path: path, line: index + 1, reason: error.reason)
            }
        }
        guard !examples.isEmpty else {
            throw EvaluationError.malformedExample(path: path, line: 0, reason: "it holds no examples")
        }
        return examples
    }
}
