import Foundation

/// An experiment that cannot be run or continued.
public enum ExperimentError: Error, Equatable, CustomStringConvertible, LocalizedError {
    /// There is no recipe of that name.
    case unknownRecipe(String, suggestion: String?, known: [String])
    /// The folder holds results of other settings or data.
    case otherSettings(folder: String, differences: [String])
    /// A result file cannot be read.
    case unreadableResult(path: String, reason: String)
    /// A signal asked for an early end; finished units are kept.
    case interrupted
    /// A part of an experiment failed.
    case failed(unit: String, reason: String)
    /// A text or option does not fit.
    case unusable(String)

    /// A sentence that says what is wrong and what to do.
    public var description: String {
        switch self {
        case .unknownRecipe(let name, let suggestion, let known):
            "there is no recipe '\(name)'; "
                + (suggestion.map { "did you mean '\($0)'?" } ?? "there are \(known.joined(separator: ", "))")
        case .otherSettings(let folder, let differences):
            "'\(folder)' holds results of other settings (\(differences.joined(separator: "; "))): choose another"
                + " folder, or the same settings to go on"
        case .unreadableResult(let path, let reason):
            "'\(path)' is no result of an experiment (\(reason)): remove it to have that part done again"
        case .interrupted:
            "interrupted: run the same command again to go on where it stopped"
        case .failed(let unit, let reason):
            "the part '\(unit)' failed: \(reason)"
        case .unusable(let reason):
            reason
        }
    }

    /// The same text as ``description``.
    public var errorDescription: String? { description }
}
