/// A chart of upright bars, or of points, in groups, for comparisons.
///
/// Values which are missing, not finite, or not positive on a logarithmic axis have no mark.
public struct BarChart: Chart {
    /// The bars of one colour, one for each category.
    public struct Series: Sendable, Hashable {
        /// The name for the legend; an empty name is not listed.
        public var name: String
        /// The values in the order of the categories; `nil` for a missing one.
        public var values: [Double?]
        /// Half lengths of error bars, in the order of the categories; may be empty.
        public var errors: [Double?]
        /// The colour; `nil` takes the next one of the palette.
        public var color: ChartColor?

        /// Makes a series from its parts.
        public init(
            name: String, values: [Double?], errors: [Double?] = [], color: ChartColor? = nil
        ) {
            self.name = name
            self.values = values
            self.errors = errors
            self.color = color
        }
    }

    /// What stands for a value.
    public enum Mark: Sendable, Hashable {
        /// Bars, whose lengths are compared: a linear axis reaches to zero unless a range is given.
        case bars
        /// Points, whose places are compared: the axis reaches as far as they and their error bars do.
        case points
    }

    /// The title, above all; may be empty.
    public var title: String
    /// A smaller line below the title; may be empty.
    public var subtitle: String
    /// The names of the groups.
    public var categories: [String]
    /// The title of the horizontal axis; may be empty.
    public var categoryTitle: String
    /// The vertical axis.
    public var valueAxis: ChartAxis
    /// The values.
    public var series: [Series]
    /// What stands for them.
    public var mark: Mark
    /// Level lines for limits and baselines, drawn over the bars and named in the legend.
    public var referenceLines: [LineChart.ReferenceLine]
    /// Whether the values are written above the bars, where there is room.
    public var showsValues: Bool
    /// Where the series are named.
    public var legend: LegendPlacement
    /// The size of the picture.
    public var size: ChartSize

    /// Makes a chart from all of its parts.
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

    /// The room which the chart needs around its plot area when it has the given size.
    public func insets(in size: ChartSize) -> ChartInsets {
        BarChartLayout(chart: self, size: size, minimumInsets: ChartInsets()).frame.insets
    }

    /// Lays the chart out in the given size, leaving at least `minimumInsets` around the plot area.
    public func drawing(size: ChartSize, minimumInsets: ChartInsets) -> Drawing {
        BarChartLayout(chart: self, size: size, minimumInsets: minimumInsets).drawing()
    }
}
