import RetNetEvaluation
import RetNetSettings

/// A text-to-text task of a run: one of `data.tasks`.
public struct T5TaskConfiguration: Sendable, Equatable {
    /// `task`: which one, as in `sst2`.
    public var task: TextToTextTask
    /// `path`: examples to learn from, one JSON object a line, plain or compressed.
    public var path: String
    /// `validation`: examples that are never trained on; nil where there are none.
    public var validationPath: String?

    /// A task with its files.
    public init(task: TextToTextTask, path: String, validationPath: String? = nil) {
        self.task = task
        self.path = path
        self.validationPath = validationPath
    }

    init(_ reader: SettingsReader) {
        self.init(
            task: reader.enumeration("task"), path: reader.string("path"),
            validationPath: reader.optionalString("validation"))
    }

    /// The settings as they are written to files.
    public var settings: SettingsTree {
        var object: SettingsObject = ["task": .string(task.rawValue), "path": .string(path)]
        if let validationPath { object["validation"] = .string(validationPath) }
        return .object(object)
    }
}
