/// A table of aligned columns for a terminal.
public struct TextTable: Sendable {
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

    /// The table as lines of text, each ended by a newline.
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
