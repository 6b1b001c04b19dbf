/// The rows common to all table writers, with every row as long as the header.
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

    /// Fills a cell with spaces up to the width of its column, or to `minimum` if that is more.
    func padded(_ cell: String, column: Int, minimum: Int = 0) -> String {
        let missing = max(widths[column], minimum) - DisplayWidth.of(cell)
        let space = String(repeating: " ", count: max(missing, 0))
        return alignsRight[column] ? space + cell : cell + space
    }

    /// Numbers may carry a unit or suffix ("12.3k", "3.1 GiB"); "-", "nan" and the like do not disturb.
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
