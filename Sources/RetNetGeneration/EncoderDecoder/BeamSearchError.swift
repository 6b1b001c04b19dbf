import Foundation

/// A search that cannot be made.
public enum BeamSearchError: Error, Equatable, CustomStringConvertible, LocalizedError {
    /// A parameter is out of range.
    case invalid(String)

    /// One sentence for people.
    public var description: String {
        switch self {
        case .invalid(let reason): reason
        }
    }

    /// The same text as ``description``.
    public var errorDescription: String? { description }
}
