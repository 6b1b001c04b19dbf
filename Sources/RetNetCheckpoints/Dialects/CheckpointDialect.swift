import Foundation
import RetNetModels
import RetNetSettings
import RetNetStorage

/// The form in which another project keeps the configuration and the tensors of a language model.
///
/// One declaration serves both directions: reading, and writing what the other project's code loads.
public protocol CheckpointDialect: Sendable {
    /// The name in commands, such as `fla-retnet`.
    var name: String { get }
    /// The project and the models, as part of a sentence.
    var summary: String { get }

    /// Returns whether a checkpoint is of this dialect, with what tells.
    func recognition(of checkpoint: CheckpointTraits) -> DialectRecognition

    /// Returns the architecture that their configuration describes.
    ///
    /// Problems are reported to the reader. Fields that only matter in training are not read; a value that would change
    /// what the model computes and has no counterpart here is reported.
    func configuration(reading fields: SettingsReader, _ checkpoint: CheckpointTraits)
        -> LanguageModelConfiguration

    /// Returns their configuration of a model.
    ///
    /// Settings that their configuration cannot say need no check here: what is written is read again, and every
    /// setting that has changed is the reason of a refusal. Throws ``DialectError/inexpressible(dialect:reasons:)``
    /// where no configuration can be made at all.
    func fields(for model: LanguageModelConfiguration) throws -> SettingsObject

    /// Returns the spelling of a model that their configuration, read again, gives: for models that compute the same there.
    func spelling(of model: LanguageModelConfiguration) -> LanguageModelConfiguration

    /// Fills in the table of a model's tensors.
    func declareTensors(of model: LanguageModelConfiguration, in table: inout TensorTable) throws
}

extension CheckpointDialect {
    /// The model itself.
    public func spelling(of model: LanguageModelConfiguration) -> LanguageModelConfiguration { model }
}

/// What tells the dialect of a checkpoint: its configuration and the names of its tensors.
public struct CheckpointTraits {
    /// The contents of `config.json`, or an argument bag; `.null` for none.
    public let fields: SettingsTree
    /// The names and shapes of the tensors; empty if only the configuration is known.
    public let tensors: TensorNames

    /// Returns true if the configuration has a field.
    public func has(_ field: String) -> Bool { fields.object?[field] != nil }

    /// The value of `model_type`.
    public var modelType: String? { fields.object?["model_type"]?.string }

    /// The class names of `architectures`.
    public var architectures: [String] {
        fields.object?["architectures"]?.array?.compactMap(\.string) ?? []
    }
}

/// The names and shapes of a checkpoint's tensors.
public struct TensorNames: Sendable {
    private let shapes: [ExactString: [Int]]

    /// The names of a source; none by default.
    init(_ entries: [SafetensorsEntry] = []) {
        shapes = Dictionary(entries.map { (ExactString($0.name), $0.shape) }) { first, _ in first }
    }

    /// True if no tensors are known.
    public var isEmpty: Bool { shapes.isEmpty }
    /// Returns true if there is a tensor of this name.
    public func contains(_ name: String) -> Bool { shapes[ExactString(name)] != nil }
    /// Returns the shape of a tensor; nil if there is none of this name.
    public func shape(_ name: String) -> [Int]? { shapes[ExactString(name)] }
    /// Returns true if the name of some tensor begins so.
    public func containsPrefix(_ prefix: String) -> Bool {
        shapes.keys.contains { $0.text.hasPrefix(prefix) }
    }
    /// Returns true if the name of some tensor ends so.
    public func containsSuffix(_ suffix: String) -> Bool {
        shapes.keys.contains { $0.text.hasSuffix(suffix) }
    }
    /// Returns how many tensors there are whose names differ only by a number, counted from 0.
    public func count(_ name: (Int) -> String) -> Int {
        var count = 0
        while contains(name(count)) { count += 1 }
        return count
    }
    /// The names in order.
    public var sorted: [String] { shapes.keys.sorted().map(\.text) }
}

/// Whether a checkpoint is of a dialect.
public enum DialectRecognition: Sendable, Equatable {
    /// It is of another one.
    case no
    /// It is, by what is given.
    case yes(because: String)
    /// It is of this project, but cannot be read for the reason given.
    case refused(because: String)
}

/// All dialects.
public enum Dialects {
    /// The dialects, in the order in which they are listed.
    public static let all: [any CheckpointDialect] = retNets + transformers + matrixMixers

    private static let retNets: [any CheckpointDialect] = [
        FLARetNet(gateIsFused: false), FLARetNet(gateIsFused: true),
        TorchscaleRetNet(isOfJuly2023: false, isFairseq: false),
        TorchscaleRetNet(isOfJuly2023: false, isFairseq: true),
        TorchscaleRetNet(isOfJuly2023: true, isFairseq: false),
        TorchscaleRetNet(isOfJuly2023: true, isFairseq: true), SyncdothRetNet(), FkodomRetNet(),
        JamieStirlingRetNet(),
    ]

    /// Models of Hugging Face Transformers, and RWKV-4 of its authors.
    private static let transformers: [any CheckpointDialect] =
        [TransformersGPT2()] + TransformersLlama.Kind.allCases.map { TransformersLlama(kind: $0) }
        + [TransformersGPTNeoX(), TransformersRWKV4(), AuthorsRWKV4(), TransformersMamba2(), AuthorsMamba2()]

    /// Models of fla-org/flash-linear-attention with other mixers.
    private static let matrixMixers: [any CheckpointDialect] = FLAMatrixMixers.Kind.allCases.flatMap { kind in
        [false, true].map { FLAMatrixMixers(kind: kind, gateIsFused: $0) }
    }

    /// Returns the dialect of a name; throws ``DialectError/unknown(name:)``.
    public static func named(_ name: String) throws -> any CheckpointDialect {
        guard let dialect = all.first(where: { $0.name == name }) else {
            throw DialectError.unknown(name: name)
        }
        return dialect
    }

    /// Returns the dialect of a checkpoint with what tells.
    ///
    /// Throws ``DialectError/unrecognized(path:reasons:)`` if it is of none, or of several.
    static func recognize(_ traits: CheckpointTraits, path: String) throws
        -> (dialect: any CheckpointDialect, reason: String)
    {
        var matches: [(dialect: any CheckpointDialect, reason: String)] = []
        var refusals: [String] = []
        for dialect in all {
            switch dialect.recognition(of: traits) {
            case .no: break
            case .yes(let reason): matches.append((dialect, reason))
            case .refused(let reason): refusals.append("\(dialect.name): \(reason)")
            }
        }
        if matches.count == 1, refusals.isEmpty { return matches[0] }
        let candidates = matches.map { "\($0.dialect.name): \($0.reason)" }
        let type = traits.modelType.map { "its model_type is '\($0)'" } ?? "it has no model_type"
        throw DialectError.unrecognized(
            path: path, reasons: candidates + refusals, isAmbiguous: matches.count > 1, type: type)
    }
}

/// An error of a checkpoint of another project.
public enum DialectError: Error, Equatable, CustomStringConvertible, LocalizedError {
    /// There is no dialect of the name.
    case unknown(name: String)
    /// A checkpoint is of no known dialect, or of several.
    case unrecognized(path: String, reasons: [String], isAmbiguous: Bool, type: String)
    /// A checkpoint is not of the dialect that was asked for.
    case mismatch(path: String, dialect: String, reason: String)
    /// A model cannot be written in a dialect.
    case inexpressible(dialect: String, reasons: [String])
    /// The table of a dialect does not fit its configuration: a mistake in this package.
    case incomplete(dialect: String, reason: String)

    /// The problem and the remedy.
    public var description: String {
        switch self {
        case .unknown(let name):
            let nearest = NameMatcher.nearest(to: name, in: Dialects.all.map(\.name))
            return "there is no dialect '\(name)'"
                + (nearest.map { "; did you mean '\($0)'?" }
                    ?? "; known are \(Dialects.all.map(\.name).joined(separator: ", "))")
        case .unrecognized(let path, let reasons, let isAmbiguous, let type):
            if reasons.isEmpty {
                return "'\(path)' is a checkpoint of no known project (\(type))"
            }
            let list = reasons.count == 1 ? " " + reasons[0] : "\n  " + reasons.joined(separator: "\n  ")
            return isAmbiguous
                ? "'\(path)' fits several projects; name the one that wrote it:\(list)"
                : "cannot read '\(path)':\(list)"
        case .mismatch(let path, let dialect, let reason):
            return "'\(path)' is not of the dialect '\(dialect)': \(reason)"
        case .inexpressible(let dialect, let reasons):
            let list = reasons.count == 1 ? " " + reasons[0] : "\n  " + reasons.joined(separator: "\n  ")
            return "the model cannot be written as '\(dialect)':\(list)"
        case .incomplete(let dialect, let reason):
            return "the dialect '\(dialect)' has no place for this model: \(reason); please report this"
        }
    }

    /// The same text as ``description``.
    public var errorDescription: String? { description }
}
