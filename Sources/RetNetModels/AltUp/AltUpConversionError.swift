import Foundation

/// A dense model that cannot be turned into one with several blocks and the same function.
public enum AltUpConversionError: Error, Equatable, CustomStringConvertible, LocalizedError {
    /// The model has several blocks already.
    case hasBlocksAlready
    /// With this choice the result would compute something else.
    case changesFunction(String)
    /// The model lacks a parameter.
    case missing(String)

    /// One sentence for people.
    public var description: String {
        switch self {
        case .hasBlocksAlready:
            "the model has an 'altup' setting already: only models with one block can be converted"
        case .changesFunction(let choice):
            "with \(choice) the converted model would not compute what the dense one does: train such a model"
                + " from the start"
        case .missing(let name):
            "the model has no parameter '\(name)'"
        }
    }

    /// The same text as ``description``.
    public var errorDescription: String? { description }
}
