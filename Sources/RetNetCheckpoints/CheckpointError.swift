import Foundation
import RetNetModels
import RetNetSampling
import RetNetStorage
import RetNetText

/// All problems of a model folder's weights and tokens.
public struct CheckpointError: Error, Equatable, CustomStringConvertible, LocalizedError {
    private static let shownProblemCount = 50

    /// The folder or file.
    public let path: String
    /// The problems, in the order in which the model declares its parameters; never empty.
    public let problems: [CheckpointProblem]

    /// Creates an error with the problems of one folder or file.
    public init(path: String, problems: [CheckpointProblem]) {
        self.path = path
        self.problems = problems
    }

    /// One line for a single problem, otherwise one line per problem.
    public var description: String {
        // Problems of special tokens say themselves what to do.
        let advice =
            problems.allSatisfy(\.isOfTokens)
            ? ""
            : problems.allSatisfy(\.isOfType)
                ? "; convert the weights to F32, F16 or BF16 with the program that wrote them; quantized ones need their"
                    + " scales"
                : "; use the config.json that the weights were saved with, or convert them"
        if problems.count == 1 { return "cannot load '\(path)': \(problems[0])\(advice)" }
        var lines = ["cannot load '\(path)': \(problems.count) problems\(advice)"]
        lines += problems.prefix(Self.shownProblemCount).map { "  \($0)" }
        if problems.count > Self.shownProblemCount {
            lines.append("  and \(problems.count - Self.shownProblemCount) more")
        }
        return lines.joined(separator: "\n")
    }

    /// The same text as ``description``.
    public var errorDescription: String? { description }
}

/// One problem of the weights or the tokens of a model folder.
public enum CheckpointProblem: Sendable, Equatable {
    /// The model needs a tensor that the files do not hold.
    case missing(name: String, shape: [Int])
    /// The files hold a tensor that is no parameter of the model.
    case unexpected(name: String, shape: [Int])
    /// The shape of a tensor differs from that of the parameter.
    case wrongShape(name: String, expected: [Int], found: [Int])
    /// A tensor's elements are not floating-point numbers of 16 bits or more, of which models consist.
    case wrongType(name: String, found: String)
    /// A tensor's elements are of a type that tensors cannot have.
    case unusableType(name: String, found: String)
    /// A tensor holds NaN or infinite values.
    case notFinite(name: String)
    /// A tensor's values are too large for the requested element type.
    case overflows(name: String, elementType: String)
    /// The output matrix differs from the embedding although the configuration ties them.
    case outputNotTied(name: String, embedding: String)
    /// A tensor that follows from the configuration has other values.
    case wrongConstant(name: String)
    /// A parameter that the other form leaves out has another value than the one that it stands for.
    case notConstant(name: String, value: Double)
    /// The configuration has more layers than the files have tensors.
    case tooFewTensors(layerCount: Int, tensorCount: Int)
    /// The tokenizer has tokens outside the model's vocabulary.
    case vocabularyTooSmall(modelSize: Int, tokenizerSize: Int)
    /// Model, tokenizer and sampling settings disagree on a special token.
    case specialToken(SpecialTokenProblem)
}

extension CheckpointProblem: CustomStringConvertible {
    /// True if only the element type of a tensor is wrong.
    fileprivate var isOfType: Bool {
        switch self {
        case .wrongType, .unusableType: true
        default: false
        }
    }

    /// True if model and tokenizer disagree on a special token.
    fileprivate var isOfTokens: Bool {
        if case .specialToken = self { true } else { false }
    }

    /// Returns a name of the safetensors format with what it means.
    private static func named(_ type: String) -> String {
        StoredElementType(rawValue: type).map { "\(type) (\($0.summary))" } ?? type
    }

    /// The problem as part of a sentence.
    public var description: String {
        switch self {
        case .missing(let name, let shape):
            "'\(name)' \(shape) is missing"
        case .unexpected(let name, let shape):
            "'\(name)' \(shape) is unexpected: the configuration has no such parameter"
        case .wrongShape(let name, let expected, let found):
            "'\(name)' has the shape \(found), but the configuration needs \(expected)"
        case .wrongType(let name, let found):
            "'\(name)' has elements of type \(Self.named(found)), but weights must be F64, F32, F16 or BF16"
        case .unusableType(let name, let found):
            "'\(name)' has elements of type \(Self.named(found)), which tensors cannot have"
        case .notFinite(let name):
            "'\(name)' holds NaN or infinite values"
        case .overflows(let name, let elementType):
            "'\(name)' holds values that are too large for \(elementType)"
        case .outputNotTied(let name, let embedding):
            "'\(name)' differs from '\(embedding)', but the configuration ties them"
        case .wrongConstant(let name):
            "'\(name)' has other values than the configuration gives it"
        case .notConstant(let name, let value):
            "'\(name)' has other values than \(value), which is all that the other form can say"
        case .tooFewTensors(let layerCount, let tensorCount):
            "the configuration has \(layerCount) layers, but there are only \(tensorCount) tensors"
        case .vocabularyTooSmall(let modelSize, let tokenizerSize):
            "the tokenizer has \(tokenizerSize) tokens, but the model has only \(modelSize)"
        case .specialToken(let problem):
            "\(problem)"
        }
    }
}

/// An error for a path without a usable model folder.
public enum ModelFolderError: Error, Equatable, CustomStringConvertible, LocalizedError {
    /// A file differs from its entry in `checksums.json`.
    case changed(path: String, reason: StorageError)
    /// No checkpoint of a run is whole; the first reason is that of the newest.
    case noWholeCheckpoint(path: String, reasons: [String])
    /// There is no model, checkpoint or run at the path.
    case noModel(path: String)
    /// The weights are rounded to 8 or 4 bits, which LibTorch does not read.
    case rounded(path: String, scheme: String)

    /// The problem and the remedy.
    public var description: String {
        switch self {
        case .changed(let path, let reason):
            "\(reason); if the file was changed on purpose, delete '\(path)/checksums.json'"
        case .noWholeCheckpoint(let path, let reasons):
            "no checkpoint in '\(path)' is whole (\(reasons.joined(separator: "; "))): restore one from a copy, or start "
                + "again in another folder"
        case .noModel(let path):
            "'\(path)' holds no model: give a model folder (with config.json), a checkpoint or a run folder"
        case .rounded(let path, let scheme):
            "the weights in '\(path)' are rounded to \(scheme), which only the engine without LibTorch reads: give the model"
                + " from which they were made"
        }
    }

    /// The same text as ``description``.
    public var errorDescription: String? { description }
}

extension CheckpointProblem {
    /// Returns all problems of a tokenizer and of sampling settings with a T5.
    static func tokens(
        of tokenizer: (any Tokenizer)?, _ defaults: GenerationDefaults?, for model: T5Configuration
    ) -> [CheckpointProblem] {
        vocabulary(of: tokenizer, modelSize: model.vocabularySize)
            + (tokenizer.map(model.specialTokenProblems) ?? []).map { .specialToken($0) }
            + (defaults.map(model.specialTokenProblems) ?? []).map { .specialToken($0) }
    }

    /// Returns all problems of a tokenizer and of sampling settings with a decoder-only model.
    static func tokens(
        of tokenizer: (any Tokenizer)?, _ defaults: GenerationDefaults?, for model: LanguageModelConfiguration
    ) -> [CheckpointProblem] {
        vocabulary(of: tokenizer, modelSize: model.vocabularySize)
            + (defaults ?? GenerationDefaults()).specialTokenProblems(vocabularySize: model.vocabularySize)
            .map { .specialToken($0) }
    }

    private static func vocabulary(of tokenizer: (any Tokenizer)?, modelSize: Int) -> [CheckpointProblem] {
        guard let tokenizer, tokenizer.vocabularySize > modelSize else { return [] }
        return [.vocabularyTooSmall(modelSize: modelSize, tokenizerSize: tokenizer.vocabularySize)]
    }
}
