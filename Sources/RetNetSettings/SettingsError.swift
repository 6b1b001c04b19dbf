import Foundation

/// All problems of a tree of settings at once.
public struct SettingsError: Error, Equatable, CustomStringConvertible, LocalizedError {
    /// The problems, in the order of reading; never empty.
    public let problems: [SettingsProblem]
    /// The name of the file or other source, where there is one.
    public let sourceName: String?

    /// The problems of one source.
    public init(_ problems: [SettingsProblem], sourceName: String? = nil) {
        self.problems = problems
        self.sourceName = sourceName
    }

    /// One line for a single problem, and one line a problem otherwise.
    public var description: String {
        let source = sourceName ?? "settings"
        if problems.count == 1 { return "\(source): \(problems[0].located)" }
        return (["\(source): \(problems.count) problems"] + problems.map { "  " + $0.located })
            .joined(separator: "\n")
    }

    /// The same text as ``description``.
    public var errorDescription: String? { description }
}
