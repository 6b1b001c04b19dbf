import RetNetReporting

/// A table of numbers published by other authors, all of one grade, with its source.
public struct PublishedTable: Sendable, Equatable {
    /// A row: a name and one number per column.
    public struct Row: Sendable, Equatable {
        /// The model that the numbers belong to.
        public let name: String
        /// The numbers in the order of the columns.
        public let values: [Double]

        /// Creates a row.
        public init(_ name: String, _ values: [Double]) {
            self.name = name
            self.values = values
        }
    }

    /// The contents of the table, with the unit of its numbers.
    public let title: String
    /// The paper and its table.
    public let source: String
    /// The reliability of the numbers.
    public let grade: PublishedValue.Grade
    /// The titles of the columns.
    public let columns: [String]
    /// The numbers.
    public let rows: [Row]
    /// The number of printed decimals.
    public let decimals: Int

    /// Creates a table from its parts.
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

    /// Returns the number of a row and a column by their names; nil if there is none.
    public func value(_ row: String, _ column: String) -> PublishedValue? {
        guard let index = columns.firstIndex(of: column),
            let found = rows.first(where: { $0.name == row }), found.values.indices.contains(index)
        else { return nil }
        return PublishedValue(found.values[index], grade)
    }

    /// The table as sections of a report: a caption with source and grade, and the numbers.
    ///
    /// Readings of figures have a caption without numbers.
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

/// A number published by other authors, with its reliability.
public struct PublishedValue: Sendable, Equatable {
    /// The reliability of a published number.
    public enum Grade: String, Sendable, CaseIterable {
        /// Read in at least two independent sources that agree.
        case verified
        /// Stated by the authors in prose, outside of tables.
        case stated = "stated by the authors"
        /// Read in one transcription only.
        case oneTranscription = "one transcription"
        /// Read off the curve of a figure; readings differ, so such numbers are never shown with measured ones.
        case figureReading = "reading of a figure"

        /// The meaning of the grade, for the end of a report.
        public var explanation: String {
            switch self {
            case .verified: "read in at least two independent sources that agree"
            case .stated: "read in a text by the authors themselves"
            case .oneTranscription: "read in one transcription only and not confirmed"
            case .figureReading: "read off a curve without printed values; not shown as a fact"
            }
        }
    }

    /// The number.
    public let value: Double
    /// Its reliability.
    public let grade: Grade

    /// Creates a published number.
    public init(_ value: Double, _ grade: Grade) {
        self.value = value
        self.grade = grade
    }
}
