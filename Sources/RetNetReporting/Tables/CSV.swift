import Foundation
import RetNetStorage

/// A table of comma-separated values, quoted as in RFC 4180.
public struct CSV: Sendable {
    /// The column titles, written as the first line unless empty.
    public var header: [String]
    /// The fields, row by row.
    public var rows: [[String]]

    /// Makes a table, possibly without rows yet.
    public init(header: [String], rows: [[String]] = []) {
        self.header = header
        self.rows = rows
    }

    /// Adds a row at the end.
    public mutating func append(_ row: [String]) {
        rows.append(row)
    }

    /// The whole table, each line ended by a newline.
    public func text() -> String {
        ((header.isEmpty ? [] : [header]) + rows).map(Self.line).joined()
    }

    /// Writes the whole table to a file at `path`, replacing it at once or not at all.
    public func write(to path: String) throws {
        try AtomicFile.write(Data(text().utf8), to: path)
    }

    /// One row as a line of text with its newline.
    static func line(_ fields: [String]) -> String {
        // A single empty field would otherwise be an empty line, which readers skip.
        if fields == [""] { return "\"\"\n" }
        return fields.map(quoted).joined(separator: ",") + "\n"
    }

    private static func quoted(_ field: String) -> String {
        let isPlain = field.utf8.allSatisfy {
            $0 != UInt8(ascii: ",") && $0 != UInt8(ascii: "\"") && $0 != UInt8(ascii: "\n")
                && $0 != UInt8(ascii: "\r")
        }
        let hasOuterSpace = field.hasPrefix(" ") || field.hasSuffix(" ")
        guard !isPlain || hasOuterSpace else { return field }
        return "\"" + field.replacingOccurrences(of: "\"", with: "\"\"") + "\""
    }
}
