/// One thing that is wrong with the weights of a model folder.
public enum CheckpointProblem: Sendable, Equatable {
    /// The model needs a tensor that the files do not hold.
    case missing(name: String, shape: [Int])
    /// The files hold a tensor that the model has no place for.
    case unexpected(name: String, shape: [Int])
    /// A tensor has another shape than the model needs.
    case wrongShape(name: String, expected: [Int], found: [Int])
    /// A tensor's elements are not floating-point numbers.
    case wrongType(name: String, found: String)
    /// A tensor's elements are of a type that tensors cannot have.
    case unusableType(name: String, found: String)
    /// A tensor holds NaN or infinite values.
    case notFinite(name: String)
    /// A tensor's values are too large for the element type asked for.
    case overflows(name: String, elementType: String)
    /// The output matrix differs from the embedding although the configuration ties them.
    case outputNotTied(name: String, embedding: String)
    /// The configuration has more layers than the files have tensors.
    case tooFewTensors(layerCount: Int, tensorCount: Int)
    /// The tokenizer makes tokens that the model has no embedding for.
    case vocabularyTooSmall(modelSize: Int, tokenizerSize: Int)
}

extension CheckpointProblem: CustomStringConvertible {
    /// One sentence without a full stop.
    public var description: String {
        switch self {
        case .missing(let name, let shape):
            "'\(name)' \(shape) is missing"
        case .unexpected(let name, let shape):
            "'\(name)' \(shape) is unexpected: the configuration has no such parameter"
        case .wrongShape(let name, let expected, let found):
            "'\(name)' has the shape \(found), but the configuration needs \(expected)"
        case .wrongType(let name, let found):
            "'\(name)' has elements of type \(found), which is not a floating-point type"
        case .unusableType(let name, let found):
            "'\(name)' has elements of type \(found), which cannot be read"
        case .notFinite(let name):
            "'\(name)' holds NaN or infinite values"
        case .overflows(let name, let elementType):
            "'\(name)' holds values that are too large for \(elementType)"
        case .outputNotTied(let name, let embedding):
            "'\(name)' differs from '\(embedding)', but the configuration ties them"
        case .tooFewTensors(let layerCount, let tensorCount):
            "the configuration has \(layerCount) layers, but there are only \(tensorCount) tensors"
        case .vocabularyTooSmall(let modelSize, let tokenizerSize):
            "the tokenizer has \(tokenizerSize) tokens, but the model only \(modelSize)"
        }
    }
}
