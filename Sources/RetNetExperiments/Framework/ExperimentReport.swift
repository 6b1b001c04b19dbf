import Foundation
import RetNetPlots
import RetNetReporting
import RetNetStorage

/// The findings of an experiment: `report.md` with its tables and plots, and `results.csv` with every number.
public struct ExperimentReport {
    /// A section of the report.
    public enum Section {
        /// A heading of the second level.
        case heading(String)
        /// One or more paragraphs.
        case text(String)
        /// A table.
        case table(MarkdownTable)
        /// A plot, written as `NAME.svg` and `NAME.png`.
        case chart(name: String, any Chart)
    }

    /// The title.
    public var title: String
    /// The sections in their order.
    public var sections: [Section] = []

    /// Creates a report without sections.
    public init(title: String) { self.title = title }

    /// Appends a section.
    public mutating func add(_ section: Section) { sections.append(section) }

    /// Appends a published table with its source and grade.
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

/// Numbers that differ by their seed only, with their mean and spread.
public struct Sample: Sendable, Equatable {
    /// The finite numbers.
    public let values: [Double]

    /// Creates a sample of the finite numbers among some values.
    public init(_ values: [Double]) { self.values = values.filter(\.isFinite) }

    /// The number of values.
    public var count: Int { values.count }
    /// The mean; nil for no values.
    public var mean: Double? { values.isEmpty ? nil : values.reduce(0, +) / Double(count) }
    /// The standard deviation with n - 1; nil for fewer than two values.
    public var standardDeviation: Double? {
        guard let mean, count > 1 else { return nil }
        return (values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(count - 1)).squareRoot()
    }
    /// The median; nil for no values.
    public var median: Double? {
        guard !values.isEmpty else { return nil }
        let sorted = values.sorted()
        return count % 2 == 1 ? sorted[count / 2] : (sorted[count / 2 - 1] + sorted[count / 2]) / 2
    }

    /// The smallest and the largest value; nil for no values.
    public var range: ClosedRange<Double>? {
        guard let low = values.min(), let high = values.max() else { return nil }
        return low...high
    }

    /// Returns mean and standard deviation as text, `1.23 ± 0.04`; a dash for no values.
    public func text(decimals: Int) -> String {
        guard let mean else { return "–" }
        let text = Format.fixed(mean, decimals: decimals)
        return standardDeviation.map { "\(text) ± \(Format.fixed($0, decimals: decimals))" } ?? text
    }

    /// Returns true if this mean is below the other by more than the sum of both standard deviations.
    public func isClearlyBelow(_ other: Sample) -> Bool {
        guard let mean, let otherMean = other.mean else { return false }
        return otherMean - mean > (standardDeviation ?? 0) + (other.standardDeviation ?? 0)
    }
}

extension LineChart.Series {
    /// Returns a line of means with a band of one standard deviation on both sides.
    static func means(name: String, _ points: [(x: Double, y: Sample)]) -> LineChart.Series {
        LineChart.Series(
            name: name, points: points.compactMap { x, y in y.mean.map { ChartPoint(x, $0) } },
            band: points.compactMap { x, y in
                guard let mean = y.mean, let spread = y.standardDeviation else { return nil }
                return LineChart.BandPoint(x: x, low: mean - spread, high: mean + spread)
            }, showsMarkers: true)
    }
}
