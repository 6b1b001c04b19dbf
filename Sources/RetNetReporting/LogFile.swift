import Foundation
import RetNetStorage
import SystemPackage

/// A file that only grows; each write reaches the system at once.
///
/// All methods may be called from any thread.
final class LogFile: Sendable {
    let path: String
    private let descriptor: Locked<FileDescriptor?>

    /// Opens the file at `path` and creates it if it is missing.
    init(path: String) throws {
        self.path = path
        descriptor = Locked(try Self.open(path))
    }

    deinit { close() }

    /// Appends data; throws `ReportingError` if the file is closed or cannot be written.
    func append(_ data: Data) throws {
        try descriptor.withLock { descriptor in
            guard let descriptor else { throw ReportingError.closed(path: path) }
            try ReportingError.typed("append to", path) { _ = try descriptor.writeAll(data) }
        }
    }

    /// Replaces the file by one with the contents that `body` returns; `nil` keeps the file.
    func replaceContents(_ body: () throws -> Data?) throws {
        try descriptor.withLock { descriptor in
            guard let old = descriptor else { throw ReportingError.closed(path: path) }
            guard let contents = try body() else { return }
            try AtomicFile.write(contents, to: path)
            // The old descriptor still refers to the replaced file.
            descriptor = try Self.open(path)
            try? old.close()
        }
    }

    /// Closes the file; later writes throw.
    func close() {
        descriptor.withLock { descriptor in
            try? descriptor?.close()
            descriptor = nil
        }
    }

    private static func open(_ path: String) throws -> FileDescriptor {
        try ReportingError.typed("open", path) {
            try FileDescriptor.open(
                path, .writeOnly, options: [.create, .append, .closeOnExec],
                permissions: FilePermissions(rawValue: 0o644))
        }
    }
}

/// A value that only one thread at a time can access.
final class Locked<Value>: @unchecked Sendable {
    // Sendable: the lock protects the value.
    private let lock = NSLock()
    private var value: Value

    init(_ value: Value) {
        self.value = value
    }

    func withLock<Result>(_ body: (inout Value) throws -> Result) rethrows -> Result {
        lock.lock()
        defer { lock.unlock() }
        return try body(&value)
    }
}

/// A failure to write or read a log.
public enum ReportingError: Error, Equatable, CustomStringConvertible, LocalizedError {
    /// A system call failed on the file or folder at `path`; `reason` is the text of the system.
    case fileOperation(String, path: String, reason: String)
    /// A record was to be written to a closed log.
    case closed(path: String)
    /// A line of a log, counted from one, is not a JSON object.
    case malformedRecord(path: String, line: Int)

    /// The cause, the place and the remedy.
    public var description: String {
        switch self {
        case .fileOperation(let operation, let path, let reason):
            "cannot \(operation) '\(path)': \(reason); check that the folder exists, is writable and has free "
                + "space"
        case .closed(let path):
            "cannot write to the log '\(path)': it is closed; open it again to append to it"
        case .malformedRecord(let path, let line):
            "line \(line) of '\(path)' is not a JSON object: remove or repair this line"
        }
    }

    /// The same text as `description`.
    public var errorDescription: String? { description }

    /// Runs system calls and throws their failure as a `ReportingError`.
    static func typed<Result>(_ operation: String, _ path: String, _ body: () throws -> Result) throws
        -> Result
    {
        do {
            return try body()
        } catch let code as Errno {
            throw ReportingError.fileOperation(operation, path: path, reason: "\(code)")
        }
    }
}
