import Foundation

/// All problems of a model folder's weights at once.
public struct CheckpointError: Error, Equatable, CustomStringConvertible, LocalizedError {
    private static let shownProblemCount = 50
    /// The folder or file.
    public let path: String
    /// The problems, in the order in which the model declares its parameters; never empty.
    public let problems: [CheckpointProblem]

    /// The problems of one folder or file.
    public init(path: String, problems: [CheckpointProblem]) {
        self.path = path
        self.problems = problems
    }

    /// One line for a single problem, and one line a problem otherwise.
    public var description: String {
        let advice = "Use the config.json that the weights were saved with, or convert them"
        if problems.count == 1 { return "\(path) does not fit: \(problems[0]). \(advice)." }
        var lines = ["\(path) does not fit: \(problems.count) problems. \(advice)."]
        lines += problems.prefix(Self.shownProblemCount).map { "  \($0)" }
        if problems.count > Self.shownProblemCount {
            lines.append("  and \(problems.count - Self.shownProblemCount) more")
        }
        return lines.joined(separator: "\n")
    }

    /// The same text as ``description``.
    public var errorDescription: String? { description }
}
