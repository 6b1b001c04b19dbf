import Foundation

/// A chart that can be written as SVG or PNG, alone or as a part of a `ChartGrid`.
public protocol Chart: Sendable {
    /// Preferred size.
    var size: ChartSize { get }

    /// Returns the space that the chart needs around its plot area at a given size.
    func insets(in size: ChartSize) -> ChartInsets

    /// Lays out the chart at a given size with at least `minimumInsets` around the plot area.
    func drawing(size: ChartSize, minimumInsets: ChartInsets) -> Drawing
}

extension Chart {
    /// Returns the chart as an SVG document.
    public func svg() -> String {
        drawing(size: size, minimumInsets: ChartInsets()).svg()
    }

    /// Returns the chart as a PNG file with `scale` pixels per point; throws `PlotError` if that is too large.
    public func png(scale: Double = 2) throws -> Data {
        try drawing(size: size, minimumInsets: ChartInsets()).png(scale: scale)
    }

    /// Writes the chart to a file in the format of its extension, `.svg` or `.png`.
    ///
    /// Throws `PlotError` or `StorageError`.
    public func write(to path: String, scale: Double = 2) throws {
        try drawing(size: size, minimumInsets: ChartInsets()).write(to: path, scale: scale)
    }
}

/// Placement of the names of series.
public enum LegendPlacement: Sendable, Hashable {
    /// At the ends of the lines if all names fit there, otherwise above the plot; no legend for a single series.
    case automatic
    /// Above the plot.
    case top
    /// At the right ends of the lines; charts without lines use the top.
    case lineEnds
    /// No legend.
    case none
}
