import Foundation
import RetNetLayers
import RetNetModels
import RetNetSampling
import RetNetSettings
import RetNetStorage
import RetNetTorch

/// A checkpoint of another project, recognized and checked: its dialect, its architecture, and its tensors.
///
/// Tensors are read only when parameters are asked for.
public struct ForeignCheckpoint {
    /// The folder or file.
    public let path: String
    /// The dialect.
    public let dialect: any CheckpointDialect
    /// What told the dialect, as part of a sentence.
    public let reason: String
    /// The architecture.
    public let configuration: LanguageModelConfiguration
    /// The fields of their configuration that play no part in what the model computes, as this package reads them.
    public let unusedFields: [String]
    let files: CheckpointFiles
    let plan: TensorPlan

    /// Opens a checkpoint in the dialect of a name, or in the one that it is recognized as.
    ///
    /// Throws ``DialectError`` if the dialect is unknown or in doubt, `SettingsError` with all problems of their
    /// configuration, and `StorageError`.
    public init(path: String, dialect name: String? = nil) throws {
        try self.init(path: path, dialect: name, sharesFiles: false)
    }

    init(path: String, dialect name: String?, sharesFiles: Bool) throws {
        let files = try CheckpointFiles(path: path, sharesFiles: sharesFiles)
        let traits = files.traits
        if let name {
            dialect = try Dialects.named(name)
            reason = "as told"
        } else {
            (dialect, reason) = try Dialects.recognize(traits, path: path)
        }
        if name != nil, case .refused(let reason) = dialect.recognition(of: traits) {
            throw DialectError.mismatch(path: path, dialect: dialect.name, reason: reason)
        }
        let fields = files.fields.reader
        let configuration = dialect.configuration(reading: fields, traits)
        let source = files.fields.sourceName ?? path
        guard fields.problems.isEmpty else { throw SettingsError(fields.problems, sourceName: source) }
        let problems = configuration.problems()
        guard problems.isEmpty else {
            throw SettingsError(problems, sourceName: "\(source), read as \(dialect.name)")
        }
        self.path = path
        self.configuration = configuration
        unusedFields = fields.unreadKeys
        self.files = files
        // Also keeps a damaged configuration from declaring layers without end.
        if !traits.tensors.isEmpty {
            try ModelFolder.checkLayerCount(configuration, try files.tensors, path: path)
        }
        plan = try TensorPlan(dialect, configuration, found: traits.tensors)
    }

    /// The number of values in all parameters.
    public var parameterCount: Int { plan.ours.reduce(0) { $0 + $1.shape.reduce(1, *) } }

    /// The sampling settings of the folder, with the special tokens of the configuration where those say nothing.
    func generationDefaults() throws -> GenerationDefaults {
        var defaults = try GenerationDefaults(folder: CheckpointFiles.folder(of: path))
        if defaults.endTokens == nil {
            let ends = files.fields.reader.endTokens(vocabularySize: configuration.vocabularySize)
            if ends.count > 1 { defaults.endTokens = ends.compactMap { Int32(exactly: $0) } }
        }
        return defaults.filled(from: configuration.tokens)
    }
}
