import Foundation

/// A failure to write or read a log.
public enum ReportingError: Error, Equatable, CustomStringConvertible, LocalizedError {
    /// A system call failed on the file or folder at `path`; `reason` is the system's own text.
    case fileOperation(String, path: String, reason: String)
    /// The log was already closed when a record was to be written to it.
    case closed(path: String)
    /// A line of a log, counted from one, holds no JSON object.
    case malformedRecord(path: String, line: Int)

    /// What went wrong, where, and what to do about it.
    public var description: String {
        switch self {
        case .fileOperation(let operation, let path, let reason):
            "cannot \(operation) '\(path)': \(reason); check that the folder exists, may be written to "
                + "and has free space"
        case .closed(let path):
            "cannot write to the log '\(path)': it was closed; open it again to append to it"
        case .malformedRecord(let path, let line):
            "line \(line) of '\(path)' is not a JSON object; remove or repair this line"
        }
    }

    /// The same text as `description`.
    public var errorDescription: String? { description }

    /// Describes the current `errno`; call it at once after the failed system call.
    static func system(_ operation: String, path: String) -> ReportingError {
        .fileOperation(operation, path: path, reason: String(cString: strerror(errno)))
    }
}
