import Foundation
import RetNetSettings

extension LanguageModelConfiguration {
    /// Reads a `config.json`; throws `SettingsError` with everything that is wrong with it.
    public init(contentsOf url: URL) throws {
        try self.init(file: try SettingsDocument(contentsOf: url))
    }

    /// Reads the text of a `config.json`; throws `SettingsError` with everything that is wrong with it.
    public init(json text: String, sourceName: String? = nil) throws {
        try self.init(file: try SettingsDocument(json: text, sourceName: sourceName))
    }

    /// The text of `config.json`: `model_type`, `format_version`, then ``settings``.
    ///
    /// Throws `SettingsError` if the configuration is not sound.
    public func jsonText() throws -> String {
        try validate()
        let head: SettingsTree = [
            "model_type": .string(Self.modelType), "format_version": .int(Self.formatVersion),
        ]
        return try head.merging(settings).jsonText()
    }

    /// Writes `config.json`, replacing an existing file in one step.
    public func write(to url: URL) throws {
        try Data(try jsonText().utf8).write(to: url, options: .atomic)
    }

    /// Whether a tree is a `config.json` of this package and not of one of the projects that share its `model_type`.
    public static func recognizes(_ tree: SettingsTree) -> Bool {
        tree.value(at: "model_type") == .string(modelType) && tree.value(at: "format_version") != nil
    }

    private init(file document: SettingsDocument) throws {
        guard Self.recognizes(document.tree) else {
            let type = document.tree.value(at: "model_type")?.string ?? "none"
            throw SettingsError(
                [
                    SettingsProblem(
                        kind: .wrongValue, path: "",
                        found: "a configuration of the model type '\(type)'"
                            + " without a format_version",
                        allowed: "one that this program has written; convert models of other projects first")
                ], sourceName: document.sourceName)
        }
        let reader = document.reader
        self.init(reading: reader)
        try reader.finish()
    }
}
