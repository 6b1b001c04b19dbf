/// A chart of vertical bars or points in groups.
///
/// Values that are missing, not finite, or not positive on a logarithmic axis have no mark.
public struct BarChart: Chart {
    /// Bars of one color, one per category.
    public struct Series: Sendable, Hashable {
        /// Name in the legend; an empty name is not listed.
        public var name: String
        /// Values in the order of the categories; `nil` for a missing value.
        public var values: [Double?]
        /// Half lengths of error bars in the order of the categories; may be empty.
        public var errors: [Double?]
        /// Color; `nil` for the next color of the palette.
        public var color: ChartColor?

        /// Creates a series.
        public init(
            name: String, values: [Double?], errors: [Double?] = [], color: ChartColor? = nil
        ) {
            self.name = name
            self.values = values
            self.errors = errors
            self.color = color
        }
    }

    /// Shape that represents a value.
    public enum Mark: Sendable, Hashable {
        /// Bars, compared by length: a linear axis includes zero unless a range is given.
        case bars
        /// Points, compared by position: the axis fits them and their error bars.
        case points
    }

    /// Title at the top; may be empty.
    public var title: String
    /// Subtitle below the title; may be empty.
    public var subtitle: String
    /// Names of the groups.
    public var categories: [String]
    /// Title of the horizontal axis; may be empty.
    public var categoryTitle: String
    /// Vertical axis.
    public var valueAxis: ChartAxis
    /// Values per series.
    public var series: [Series]
    /// Shape that represents a value.
    public var mark: Mark
    /// Horizontal lines for limits and baselines, drawn over the bars and named in the legend.
    public var referenceLines: [LineChart.ReferenceLine]
    /// True if the values are written above the bars, where there is space.
    public var showsValues: Bool
    /// Placement of the legend.
    public var legend: LegendPlacement
    /// Size of the picture in points.
    public var size: ChartSize

    /// Creates a chart.
    public init(
        title: String = "", subtitle: String = "", categories: [String], categoryTitle: String = "",
        valueAxis: ChartAxis = ChartAxis(), series: [Series], mark: Mark = .bars,
        referenceLines: [LineChart.ReferenceLine] = [], showsValues: Bool = true,
        legend: LegendPlacement = .automatic, size: ChartSize = .standard
    ) {
        self.title = title
        self.subtitle = subtitle
        self.categories = categories
        self.categoryTitle = categoryTitle
        self.valueAxis = valueAxis
        self.series = series
        self.mark = mark
        self.referenceLines = referenceLines
        self.showsValues = showsValues
        self.legend = legend
        self.size = size
    }

    /// Returns the space that the chart needs around its plot area at a given size.
    public func insets(in size: ChartSize) -> ChartInsets {
        BarChartLayout(chart: self, size: size, minimumInsets: ChartInsets()).frame.insets
    }

    /// Lays out the chart at a given size with at least `minimumInsets` around the plot area.
    public func drawing(size: ChartSize, minimumInsets: ChartInsets) -> Drawing {
        BarChartLayout(chart: self, size: size, minimumInsets: minimumInsets).drawing()
    }
}
