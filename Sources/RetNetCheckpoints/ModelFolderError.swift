import Foundation
import RetNetStorage

/// A model folder whose files are not those that were saved.
public enum ModelFolderError: Error, Equatable, CustomStringConvertible, LocalizedError {
    /// A file differs from what `checksums.json` says.
    case changed(path: String, reason: StorageError)

    /// What differs, and what to do.
    public var description: String {
        switch self {
        case .changed(let path, let reason):
            "\(reason) If you changed the file on purpose, delete \(path)/checksums.json."
        }
    }

    /// The same text as ``description``.
    public var errorDescription: String? { description }
}
