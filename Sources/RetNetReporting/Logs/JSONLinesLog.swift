import Foundation
import RetNetStorage

/// A log file with one JSON object per line, written line by line.
///
/// A crash can tear the last line. Opening the log repairs this: a complete record without its newline
/// is kept, an incomplete one removed. All methods may be called from any thread.
public final class JSONLinesLog: Sendable {
    /// The place of the log.
    public let path: String

    private let file: Locked<FileState>

    // Wrapped because an optional of a noncopyable type cannot be stored in a generic box.
    private final class FileState {
        var file: AppendingFile?

        init(_ file: consuming AppendingFile) {
            self.file = consume file
        }
    }

    /// Opens the log at `path` for appending, creating it and repairing a torn last line.
    ///
    /// Throws `ReportingError` when the file cannot be read or opened.
    public init(path: String) throws {
        self.path = path
        try Self.repair(path)
        file = Locked(FileState(try AppendingFile(path: path)))
    }

    /// Appends one record, its keys in the given order.
    ///
    /// Of keys that occur twice only the last value is kept. Throws `ReportingError` when the log was
    /// closed or cannot be written.
    public func append(_ record: KeyValuePairs<String, RecordValue>) throws {
        try append(record.map { ($0.key, $0.value) })
    }

    /// Appends one record, its keys in the given order; see the other `append`.
    public func append(_ record: [(key: String, value: RecordValue)]) throws {
        let data = Data((Self.line(record) + "\n").utf8)
        try file.withLock { state in
            guard state.file != nil else { throw ReportingError.closed(path: path) }
            try state.file?.append(data)
        }
    }

    /// Removes the records whose `step` is greater than the given one, in one atomic replacement.
    ///
    /// Call this when a run is resumed from a checkpoint. Records without a whole-numbered `step` stay,
    /// and so do all bytes of the kept lines. Throws `ReportingError` or the error of writing the file.
    public func truncate(afterStep step: Int) throws {
        try file.withLock { state in
            guard state.file != nil else { throw ReportingError.closed(path: path) }
            let contents = try Self.contents(of: path)
            var kept = Data(capacity: contents.count)
            for line in contents.split(separator: UInt8(ascii: "\n")) {
                if let recorded = Self.record(in: line)?["step"]?.intValue, recorded > step { continue }
                kept.append(line)
                kept.append(UInt8(ascii: "\n"))
            }
            if kept.count == contents.count { return }
            try AtomicFile.write(kept, to: path)
            // The old descriptor still leads to the replaced file.
            state.file = try AppendingFile(path: path)
        }
    }

    /// Closes the log; later appends throw.
    public func close() {
        file.withLock { $0.file = nil }
    }

    /// Reads all records of the log at `path`, ignoring a torn last line and values that are objects.
    ///
    /// Throws `ReportingError.malformedRecord` for any other line which is not a JSON object.
    public static func records(at path: String) throws -> [[String: RecordValue]] {
        let contents = try contents(of: path)
        let lines = contents.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
        var records: [[String: RecordValue]] = []
        for (index, line) in lines.enumerated() where !line.isEmpty {
            if let record = record(in: line) {
                records.append(record)
            } else if index < lines.count - 1 {
                throw ReportingError.malformedRecord(path: path, line: index + 1)
            }
        }
        return records
    }

    /// A record as JSON text on one line.
    static func line(_ record: [(key: String, value: RecordValue)]) -> String {
        var places: [String: Int] = [:]
        var fields: [(key: String, value: RecordValue)] = []
        for field in record {
            if let place = places[field.key] {
                fields[place] = field
            } else {
                places[field.key] = fields.count
                fields.append(field)
            }
        }
        return "{" + fields.map { RecordValue.json($0.key) + ":" + $0.value.json }.joined(separator: ",")
            + "}"
    }

    /// Values which are objects are of no use here, but they must not make a record unreadable.
    private struct Field: Decodable {
        let value: RecordValue?

        init(from decoder: any Decoder) {
            value = try? RecordValue(from: decoder)
        }
    }

    private static func record(in line: Data) -> [String: RecordValue]? {
        // The decoder takes a slice with its own start index badly on some platforms.
        guard let fields = try? JSONDecoder().decode([String: Field].self, from: Data(line)) else {
            return nil
        }
        return fields.compactMapValues(\.value)
    }

    private static func contents(of path: String) throws -> Data {
        do {
            return try Data(contentsOf: URL(fileURLWithPath: path))
        } catch {
            throw ReportingError.fileOperation("read", path: path, reason: error.localizedDescription)
        }
    }

    private static func repair(_ path: String) throws {
        guard FileManager.default.fileExists(atPath: path) else { return }
        var contents = try contents(of: path)
        guard let last = contents.last, last != UInt8(ascii: "\n") else { return }
        let start = contents.lastIndex(of: UInt8(ascii: "\n")).map { $0 + 1 } ?? contents.startIndex
        if record(in: contents[start...]) == nil {
            contents.removeSubrange(start...)
        } else {
            contents.append(UInt8(ascii: "\n"))
        }
        try AtomicFile.write(contents, to: path)
    }
}
