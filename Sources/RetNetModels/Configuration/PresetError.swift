import Foundation

/// A request for a preset that does not exist.
public enum PresetError: Error, Equatable, CustomStringConvertible, LocalizedError {
    /// There is no preset of that name.
    case unknown(String, suggestion: String?, known: [String])
    /// A change does not fit the model that it was asked for.
    case unsuitable(reason: String)

    /// One sentence for people.
    public var description: String {
        switch self {
        case .unsuitable(let reason): reason
        case .unknown(let name, let suggestion, let known):
            "there is no preset '\(name)'; "
                + (suggestion.map { "did you mean '\($0)'?" } ?? "there are " + known.joined(separator: ", "))
        }
    }

    /// The same text as ``description``.
    public var errorDescription: String? { description }
}
