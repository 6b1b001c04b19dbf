/// A table in the pipe notation of Markdown, aligned so that the source is readable too.
public struct MarkdownTable: Sendable {
    /// The column titles.
    public var header: [String]
    /// The cells, row by row; short rows are filled with empty cells.
    public var rows: [[String]]
    /// The alignment of each column; missing ones are automatic.
    public var alignments: [ColumnAlignment]

    /// Makes a table, possibly without rows yet.
    public init(header: [String], rows: [[String]] = [], alignments: [ColumnAlignment] = []) {
        self.header = header
        self.rows = rows
        self.alignments = alignments
    }

    /// Adds a row at the end.
    public mutating func append(_ row: [String]) {
        rows.append(row)
    }

    /// The table as Markdown source, each line ended by a newline.
    public func text() -> String {
        let content = TableContent(
            header: header.map(Self.escaped), rows: rows.map { $0.map(Self.escaped) },
            alignments: alignments)
        func line(_ cells: [String]) -> String {
            "| " + cells.joined(separator: " | ") + " |\n"
        }
        func cells(_ row: [String]) -> [String] {
            // Three dashes are the shortest rule that every Markdown reader takes.
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
