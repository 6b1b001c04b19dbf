import Foundation
import RetNetStorage

/// A table of aligned columns for a terminal.
public struct TextTable: Sendable {
    /// Column titles.
    public var header: [String]
    /// Cells, row by row; short rows are filled with empty cells.
    public var rows: [[String]]
    /// Alignment of each column; missing ones are automatic.
    public var alignments: [ColumnAlignment]

    /// Creates a table; rows can be added later.
    public init(header: [String], rows: [[String]] = [], alignments: [ColumnAlignment] = []) {
        self.header = header
        self.rows = rows
        self.alignments = alignments
    }

    /// Adds a row at the end.
    public mutating func append(_ row: [String]) {
        rows.append(row)
    }

    /// Returns the table as lines of text, each ending in a newline.
    public func text() -> String {
        let content = TableContent(
            header: header.map(ProgressLine.clean), rows: rows.map { $0.map(ProgressLine.clean) },
            alignments: alignments)
        var lines: [String] = []
        func add(_ row: [String]) {
            let cells = row.indices.map { content.padded(row[$0], column: $0) }
            let line = cells.joined(separator: "  ")
            lines.append(String(line.reversed().drop { $0 == " " }.reversed()))
        }
        add(content.header)
        lines.append(content.widths.map { String(repeating: "-", count: $0) }.joined(separator: "  "))
        for row in content.rows { add(row) }
        return lines.map { $0 + "\n" }.joined()
    }
}

/// A Markdown table with aligned columns.
public struct MarkdownTable: Sendable {
    /// Column titles.
    public var header: [String]
    /// Cells, row by row; short rows are filled with empty cells.
    public var rows: [[String]]
    /// Alignment of each column; missing ones are automatic.
    public var alignments: [ColumnAlignment]

    /// Creates a table; rows can be added later.
    public init(header: [String], rows: [[String]] = [], alignments: [ColumnAlignment] = []) {
        self.header = header
        self.rows = rows
        self.alignments = alignments
    }

    /// Adds a row at the end.
    public mutating func append(_ row: [String]) {
        rows.append(row)
    }

    /// Returns the table as Markdown source, each line ending in a newline.
    public func text() -> String {
        let content = TableContent(
            header: header.map(Self.escaped), rows: rows.map { $0.map(Self.escaped) },
            alignments: alignments)
        func line(_ cells: [String]) -> String {
            "| " + cells.joined(separator: " | ") + " |\n"
        }
        func cells(_ row: [String]) -> [String] {
            // Three dashes are the shortest rule that every Markdown reader accepts.
            row.indices.map { content.padded(row[$0], column: $0, minimum: 3) }
        }
        let rule = content.widths.indices.map { column in
            let dashes = max(content.widths[column], 3) - 1
            return String(repeating: "-", count: dashes) + (content.alignsRight[column] ? ":" : "-")
        }
        return line(cells(content.header)) + line(rule) + content.rows.map { line(cells($0)) }.joined()
    }

    private static func escaped(_ cell: String) -> String {
        var result = ""
        for character in cell {
            switch character {
            case "|": result += "\\|"
            case "\n", "\r\n": result += "<br>"
            case "\r", "\t": result += " "
            default: result.append(character)
            }
        }
        return result
    }
}

/// A table of comma-separated values, quoted as in RFC 4180.
public struct CSV: Sendable {
    /// Column titles, written as the first line unless empty.
    public var header: [String]
    /// Fields, row by row.
    public var rows: [[String]]

    /// Creates a table; rows can be added later.
    public init(header: [String], rows: [[String]] = []) {
        self.header = header
        self.rows = rows
    }

    /// Adds a row at the end.
    public mutating func append(_ row: [String]) {
        rows.append(row)
    }

    /// Returns the whole table, each line ending in a newline.
    public func text() -> String {
        ((header.isEmpty ? [] : [header]) + rows).map(Self.line).joined()
    }

    /// Writes the whole table atomically to a file at `path`.
    public func write(to path: String) throws {
        try AtomicFile.write(Data(text().utf8), to: path)
    }

    /// Returns one row as a line of text with its newline.
    static func line(_ fields: [String]) -> String {
        // A single empty field would be an empty line, which readers skip.
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

/// The alignment of the cells of a column.
public enum ColumnAlignment: Sendable, Hashable {
    /// Aligned at the start, for text.
    case left
    /// Aligned at the end, for numbers.
    case right
    /// Right if every filled cell of the column begins like a number, otherwise left.
    case automatic
}

/// The cells of a table with equally long rows, and the measures of its columns.
struct TableContent: Sendable {
    let header: [String]
    let rows: [[String]]
    let alignsRight: [Bool]
    let widths: [Int]

    init(header: [String], rows: [[String]], alignments: [ColumnAlignment]) {
        let columnCount = max(header.count, rows.map(\.count).max() ?? 0)
        func filled(_ row: [String]) -> [String] {
            row + Array(repeating: "", count: columnCount - row.count)
        }
        let header = filled(header)
        let rows = rows.map(filled)
        self.header = header
        self.rows = rows
        alignsRight = (0..<columnCount).map { column in
            switch column < alignments.count ? alignments[column] : .automatic {
            case .left: false
            case .right: true
            case .automatic: Self.isNumeric(rows.map { $0[column] })
            }
        }
        widths = (0..<columnCount).map { column in
            rows.reduce(DisplayWidth.of(header[column])) { max($0, DisplayWidth.of($1[column])) }
        }
    }

    /// Returns a cell padded with spaces to the width of its column, or to `minimum` if that is larger.
    func padded(_ cell: String, column: Int, minimum: Int = 0) -> String {
        let missing = max(widths[column], minimum) - DisplayWidth.of(cell)
        let space = String(repeating: " ", count: max(missing, 0))
        return alignsRight[column] ? space + cell : cell + space
    }

    /// Returns true for numbers, also with a unit or suffix ("12.3k", "3.1 GiB"); ignores "-", "nan" and the like.
    private static func isNumeric(_ cells: [String]) -> Bool {
        let neutral: Set = ["", "-", "nan", "inf", "-inf", "n/a"]
        let telling = cells.filter { !neutral.contains($0) }
        return !telling.isEmpty
            && telling.allSatisfy { cell in
                let digits = cell.drop { "+-~<>=.".contains($0) }
                return digits.first.map { $0.isASCII && $0.isNumber } ?? false
            }
    }
}

/// Widths of text in columns of a terminal.
enum DisplayWidth {
    /// Returns the width of a text in columns.
    static func of(_ text: some StringProtocol) -> Int {
        var width = 0
        for character in text { width += of(character) }
        return width
    }

    /// Returns the width of a character in columns: two for wide East Asian characters and emoji.
    static func of(_ character: Character) -> Int {
        guard let scalar = character.unicodeScalars.first else { return 0 }
        if scalar.isASCII { return scalar.value < 32 || scalar.value == 127 ? 0 : 1 }
        if scalar.properties.generalCategory == .nonspacingMark { return 0 }
        switch scalar.value {
        case 0x1100...0x115F, 0x2E80...0x303E, 0x3041...0xA4CF, 0xAC00...0xD7A3, 0xF900...0xFAFF,
            0xFE30...0xFE6F, 0xFF00...0xFF60, 0xFFE0...0xFFE6, 0x1F300...0x1FAFF, 0x20000...0x3FFFD:
            return 2
        default:
            return 1
        }
    }

    /// Returns the text truncated to at most `width` columns.
    static func truncate(_ text: String, to width: Int) -> String {
        guard of(text) > width else { return text }
        var result = ""
        var used = 0
        for character in text {
            let columns = of(character)
            if used + columns > width { break }
            result.append(character)
            used += columns
        }
        return result
    }
}
