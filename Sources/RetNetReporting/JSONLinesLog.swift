import Foundation
import RetNetStorage

/// A log file with one JSON object per line, written line by line.
///
/// After a crash the last line can be incomplete. Opening the log repairs this: a complete record without its
/// newline is kept, an incomplete one removed. All methods may be called from any thread.
public final class JSONLinesLog: Sendable {
    /// Path of the log.
    public var path: String { file.path }

    private let file: LogFile

    /// Opens the log at `path` for appending, creates it if it is missing, and repairs an incomplete last line.
    ///
    /// Throws `ReportingError` if the file cannot be read or opened.
    public init(path: String) throws {
        try Self.repair(path)
        file = try LogFile(path: path)
    }

    /// Appends one record with its keys in the given order.
    ///
    /// Of keys that occur twice only the last value is kept. Throws `ReportingError` if the log is closed or
    /// cannot be written.
    public func append(_ record: KeyValuePairs<String, RecordValue>) throws {
        try append(record.map { ($0.key, $0.value) })
    }

    /// Appends one record with its keys in the given order; see the other `append`.
    public func append(_ record: [(key: String, value: RecordValue)]) throws {
        try file.append(Data((Self.line(record) + "\n").utf8))
    }

    /// Removes the records whose `step` is greater than the given one, in one atomic replacement.
    ///
    /// Used to resume a run from a checkpoint. Records without an integral `step` are kept, and so are all
    /// bytes of the kept lines. Throws `ReportingError` or `StorageError`.
    public func truncate(afterStep step: Int) throws {
        try file.replaceContents {
            let contents = try Self.contents(of: path)
            var kept = Data(capacity: contents.count)
            for line in contents.split(separator: UInt8(ascii: "\n")) {
                if let recorded = Self.record(in: line)?["step"]?.intValue, recorded > step { continue }
                kept.append(line)
                kept.append(UInt8(ascii: "\n"))
            }
            return kept.count == contents.count ? nil : kept
        }
    }

    /// Closes the log; later appends throw.
    public func close() { file.close() }

    /// Reads all records of the log at `path`, without an incomplete last line and values that are objects.
    ///
    /// Throws `ReportingError.malformedRecord` for any other line that is not a JSON object.
    public static func records(at path: String) throws -> [[ExactString: RecordValue]] {
        let contents = try contents(of: path)
        let lines = contents.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
        var records: [[ExactString: RecordValue]] = []
        for (index, line) in lines.enumerated() where !line.isEmpty {
            if let record = record(in: line) {
                records.append(record)
            } else if index < lines.count - 1 {
                throw ReportingError.malformedRecord(path: path, line: index + 1)
            }
        }
        return records
    }

    /// Returns a record as JSON text on one line.
    static func line(_ record: [(key: String, value: RecordValue)]) -> String {
        var places: [ExactString: Int] = [:]
        var fields: [(key: String, value: RecordValue)] = []
        for field in record {
            if let place = places[ExactString(field.key)] {
                fields[place] = field
            } else {
                places[ExactString(field.key)] = fields.count
                fields.append(field)
            }
        }
        return "{" + fields.map { $0.key.jsonQuoted + ":" + $0.value.json }.joined(separator: ",") + "}"
    }

    /// Returns the values of a line that are not objects; `nil` if the line is not a JSON object.
    private static func record(in line: Data) -> [ExactString: RecordValue]? {
        line.withUnsafeBytes { bytes in
            guard var scanner = try? JSONScanner(bytes) else { return nil }
            var record: [ExactString: RecordValue] = [:]
            do {
                try scanner.readObject { scanner, name in
                    // Objects are not values of records, but must not make a record unreadable.
                    var attempt = scanner
                    if let value = try? RecordValue(&attempt) {
                        record[ExactString(name)] = value
                        scanner = attempt
                    } else {
                        try scanner.skipValue()
                    }
                }
                try scanner.finish()
                return record
            } catch {
                return nil
            }
        }
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

/// A value of a log record.
///
/// JSON has no numbers for not-a-number and the infinities. They are written as the strings `"NaN"`,
/// `"Infinity"` and `"-Infinity"`, which `doubleValue` converts back.
public enum RecordValue: Sendable, Hashable {
    /// An integer.
    case int(Int)
    /// A floating-point number.
    case double(Double)
    /// A text.
    case string(String)
    /// True or false.
    case bool(Bool)
    /// A list of values.
    case array([RecordValue])
    /// The absence of a value.
    case null

    /// Number, also of an integer or of a text that represents a number that is not finite; otherwise `nil`.
    public var doubleValue: Double? {
        switch self {
        case .int(let value): Double(value)
        case .double(let value): value
        case .string("NaN"): .nan
        case .string("Infinity"): .infinity
        case .string("-Infinity"): -.infinity
        default: nil
        }
    }

    /// Integer, also of a floating-point number without fraction; otherwise `nil`.
    public var intValue: Int? {
        switch self {
        case .int(let value): value
        case .double(let value): Int(exactly: value)
        default: nil
        }
    }

    /// Text; otherwise `nil`.
    public var stringValue: String? {
        if case .string(let value) = self { value } else { nil }
    }

    /// The value as JSON text on one line.
    public var json: String {
        switch self {
        case .int(let value): String(value)
        case .double(let value) where value.isNaN: "\"NaN\""
        case .double(let value) where value.isInfinite: value < 0 ? "\"-Infinity\"" : "\"Infinity\""
        case .double(let value): "\(value)"
        case .string(let value): value.jsonQuoted
        case .bool(let value): value ? "true" : "false"
        case .array(let values): "[" + values.map(\.json).joined(separator: ",") + "]"
        case .null: "null"
        }
    }

    /// Reads a value without objects.
    init(_ scanner: inout JSONScanner) throws {
        guard scanner.peek() != UInt8(ascii: "[") else {
            var values: [RecordValue] = []
            try scanner.readArray { values.append(try RecordValue(&$0)) }
            self = .array(values)
            return
        }
        switch try scanner.readScalar() {
        case .null: self = .null
        case .bool(let value): self = .bool(value)
        case .int(let value): self = .int(value)
        case .double(let value): self = .double(value)
        case .string(let value): self = .string(value)
        }
    }
}

extension RecordValue: ExpressibleByIntegerLiteral, ExpressibleByFloatLiteral, ExpressibleByStringLiteral,
    ExpressibleByBooleanLiteral, ExpressibleByArrayLiteral
{
    /// Creates an integer.
    public init(integerLiteral value: Int) { self = .int(value) }

    /// Creates a floating-point number.
    public init(floatLiteral value: Double) { self = .double(value) }

    /// Creates a text.
    public init(stringLiteral value: String) { self = .string(value) }

    /// Creates true or false.
    public init(booleanLiteral value: Bool) { self = .bool(value) }

    /// Creates a list.
    public init(arrayLiteral elements: RecordValue...) { self = .array(elements) }
}
