import Foundation

/// A picture of data which can be written as SVG or PNG, alone or as a part of a `ChartGrid`.
public protocol Chart: Sendable {
    /// The size the chart would like to have.
    var size: ChartSize { get }

    /// The room which the chart needs around its plot area when it has the given size.
    func insets(in size: ChartSize) -> ChartInsets

    /// Lays the chart out in the given size, leaving at least `minimumInsets` around the plot area.
    func drawing(size: ChartSize, minimumInsets: ChartInsets) -> Drawing
}

extension Chart {
    /// The chart as an SVG document.
    public func svg() -> String {
        drawing(size: size, minimumInsets: ChartInsets()).svg()
    }

    /// The chart as a PNG file with `scale` pixels per point; throws `ReportingError` if that is too large.
    public func png(scale: Double = 2) throws -> Data {
        try drawing(size: size, minimumInsets: ChartInsets()).png(scale: scale)
    }

    /// Writes the chart to `path`; the ending `.svg` or `.png` chooses the format.
    ///
    /// Throws `ReportingError` or the error of writing the file.
    public func write(to path: String, scale: Double = 2) throws {
        try drawing(size: size, minimumInsets: ChartInsets()).write(to: path, scale: scale)
    }
}
