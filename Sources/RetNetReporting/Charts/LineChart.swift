/// A chart of lines or points over a horizontal axis of numbers.
///
/// Points with coordinates that are not finite, or not positive on a logarithmic axis, are left out.
public struct LineChart: Chart {
    /// The title, above all; may be empty.
    public var title: String
    /// A smaller line below the title; may be empty.
    public var subtitle: String
    /// The horizontal axis.
    public var xAxis: ChartAxis
    /// The vertical axis.
    public var yAxis: ChartAxis
    /// The data, drawn in this order.
    public var series: [Series]
    /// Level lines for limits and baselines.
    public var referenceLines: [ReferenceLine]
    /// Short remarks beside points of the data.
    public var annotations: [Annotation]
    /// Where the series are named.
    public var legend: LegendPlacement
    /// The size of the picture.
    public var size: ChartSize

    /// Makes a chart from all of its parts.
    public init(
        title: String = "", subtitle: String = "", xAxis: ChartAxis = ChartAxis(),
        yAxis: ChartAxis = ChartAxis(), series: [Series] = [], referenceLines: [ReferenceLine] = [],
        annotations: [Annotation] = [], legend: LegendPlacement = .automatic, size: ChartSize = .standard
    ) {
        self.title = title
        self.subtitle = subtitle
        self.xAxis = xAxis
        self.yAxis = yAxis
        self.series = series
        self.referenceLines = referenceLines
        self.annotations = annotations
        self.legend = legend
        self.size = size
    }

    /// The room which the chart needs around its plot area when it has the given size.
    public func insets(in size: ChartSize) -> ChartInsets {
        LineChartLayout(chart: self, size: size, minimumInsets: ChartInsets()).frame.insets
    }

    /// Lays the chart out in the given size, leaving at least `minimumInsets` around the plot area.
    public func drawing(size: ChartSize, minimumInsets: ChartInsets) -> Drawing {
        LineChartLayout(chart: self, size: size, minimumInsets: minimumInsets).drawing()
    }
}
