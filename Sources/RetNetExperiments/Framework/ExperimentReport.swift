import Foundation
import RetNetPlots
import RetNetReporting
import RetNetStorage

/// What an experiment found: `report.md` with its tables and plots, and `results.csv` with every number.
public struct ExperimentReport {
    /// A part of the report.
    public enum Section {
        /// A heading of the second level.
        case heading(String)
        /// A paragraph, or several.
        case text(String)
        /// A table.
        case table(MarkdownTable)
        /// A plot, written as `NAME.svg` and `NAME.png`.
        case chart(name: String, any Chart)
    }

    /// The title.
    public var title: String
    /// The parts in their order.
    public var sections: [Section] = []

    /// A report without parts.
    public init(title: String) { self.title = title }

    /// Adds a part.
    public mutating func add(_ section: Section) { sections.append(section) }

    /// Adds a published table with its source and grade.
    public mutating func add(_ table: PublishedTable) { sections += table.sections }

    /// Writes the report into a folder.
    public func write(to folder: String, results: [UnitResult]) throws {
        var markdown = "# \(title)\n"
        for section in sections {
            switch section {
            case .heading(let text): markdown += "\n## \(text)\n"
            case .text(let text): markdown += "\n\(text)\n"
            case .table(let table): markdown += "\n\(table.text())"
            case .chart(let name, let chart):
                try chart.write(to: "\(folder)/\(name).svg")
                try chart.write(to: "\(folder)/\(name).png")
                markdown += "\n![\(name)](\(name).png)\n"
            }
        }
        try AtomicFile.write(Data(markdown.utf8), to: folder + "/report.md")
        try Self.csv(results).write(to: folder + "/results.csv")
    }

    /// Every number of every unit.
    private static func csv(_ results: [UnitResult]) -> CSV {
        let names = Set(results.flatMap(\.values.keys)).sorted()
        return CSV(
            header: ["unit", "contender", "seed", "seconds"] + names,
            rows: results.map { result in
                [result.id, result.contender, "\(result.seed)", Format.fixed(result.seconds, decimals: 2)]
                    + names.map { name in result.values[name].map { "\($0)" } ?? "" }
            })
    }
}
