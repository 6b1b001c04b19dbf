import RetNetReporting

/// A table of numbers that somebody else has published, all of one grade, with its origin.
public struct PublishedTable: Sendable, Equatable {
    /// One row: whose numbers they are, and one number a column.
    public struct Row: Sendable, Equatable {
        /// Whose numbers they are.
        public let name: String
        /// The numbers in the order of the columns.
        public let values: [Double]

        /// A row of a table.
        public init(_ name: String, _ values: [Double]) {
            self.name = name
            self.values = values
        }
    }

    /// What the table shows, with the unit of its numbers.
    public let title: String
    /// Paper and table.
    public let source: String
    /// How well the numbers are known here.
    public let grade: PublishedValue.Grade
    /// The titles of the columns.
    public let columns: [String]
    /// The numbers.
    public let rows: [Row]
    /// How many decimals are printed.
    public let decimals: Int

    /// A table from all of its parts.
    public init(
        title: String, source: String, grade: PublishedValue.Grade, columns: [String], rows: [Row],
        decimals: Int = 2
    ) {
        self.title = title
        self.source = source
        self.grade = grade
        self.columns = columns
        self.rows = rows
        self.decimals = decimals
    }

    /// The number of a row and a column by their names, or nil where there is none.
    public func value(_ row: String, _ column: String) -> PublishedValue? {
        guard let index = columns.firstIndex(of: column),
            let found = rows.first(where: { $0.name == row }), found.values.indices.contains(index)
        else { return nil }
        return PublishedValue(found.values[index], grade)
    }

    /// The table as parts of a report: a caption with source and grade, and the numbers.
    ///
    /// Readings of figures give a sentence and no numbers.
    public var sections: [ExperimentReport.Section] {
        let caption = "**Published, not measured here:** \(title). \(source); \(grade.rawValue)."
        guard grade != .figureReading else { return [.text(caption)] }
        var table = MarkdownTable(
            header: ["published"] + columns, alignments: [.left] + columns.map { _ in .right })
        for row in rows {
            table.append([row.name] + row.values.map { Format.fixed($0, decimals: decimals) })
        }
        return [.text(caption), .table(table)]
    }
}
