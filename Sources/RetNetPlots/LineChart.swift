/// A chart of lines or points over a horizontal axis of numbers.
///
/// Points with coordinates that are not finite, or not positive on a logarithmic axis, are left out.
public struct LineChart: Chart {
    /// Title at the top; may be empty.
    public var title: String
    /// Subtitle below the title; may be empty.
    public var subtitle: String
    /// Horizontal axis.
    public var xAxis: ChartAxis
    /// Vertical axis.
    public var yAxis: ChartAxis
    /// Series, drawn in this order.
    public var series: [Series]
    /// Horizontal lines for limits and baselines.
    public var referenceLines: [ReferenceLine]
    /// Short remarks next to points of the data.
    public var annotations: [Annotation]
    /// Placement of the legend.
    public var legend: LegendPlacement
    /// Size of the picture in points.
    public var size: ChartSize

    /// Creates a chart.
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

    /// Returns the space that the chart needs around its plot area at a given size.
    public func insets(in size: ChartSize) -> ChartInsets {
        LineChartLayout(chart: self, size: size, minimumInsets: ChartInsets()).frame.insets
    }

    /// Lays out the chart at a given size with at least `minimumInsets` around the plot area.
    public func drawing(size: ChartSize, minimumInsets: ChartInsets) -> Drawing {
        LineChartLayout(chart: self, size: size, minimumInsets: minimumInsets).drawing()
    }
}

extension LineChart {
    /// One line of a chart with its raw points and its band.
    public struct Series: Sendable, Hashable {
        /// Name in the legend; an empty name is not listed.
        public var name: String
        /// Points of the main line.
        public var points: [ChartPoint]
        /// Unsmoothed points, drawn as a thin light line below the main line.
        public var rawPoints: [ChartPoint]
        /// Spread around the line, drawn as a light area.
        public var band: [BandPoint]
        /// Color; `nil` for the next color of the palette.
        public var color: ChartColor?
        /// Width of the main line in points.
        public var lineWidth: Double
        /// True if the main line is dashed.
        public var isDashed: Bool
        /// True if the points are joined by a line.
        public var showsLine: Bool
        /// True if each point is marked.
        public var showsMarkers: Bool

        /// Creates a series.
        public init(
            name: String, points: [ChartPoint], rawPoints: [ChartPoint] = [], band: [BandPoint] = [],
            color: ChartColor? = nil, lineWidth: Double = 2, isDashed: Bool = false,
            showsLine: Bool = true, showsMarkers: Bool = false
        ) {
            self.name = name
            self.points = points
            self.rawPoints = rawPoints
            self.band = band
            self.color = color
            self.lineWidth = lineWidth
            self.isDashed = isDashed
            self.showsLine = showsLine
            self.showsMarkers = showsMarkers
        }

        /// Returns a series with its raw points and their exponential moving average.
        ///
        /// `smoothing` is the weight of the past in the average, from 0 to below 1; the start of the
        /// average is corrected for bias. Values that are not finite are skipped.
        public static func smoothed(
            name: String, points: [ChartPoint], smoothing: Double = 0.95, color: ChartColor? = nil
        ) -> Series {
            let weight = smoothing.isFinite ? min(max(smoothing, 0), 0.999_999) : 0
            var (average, share) = (0.0, 0.0)
            var line: [ChartPoint] = []
            line.reserveCapacity(points.count)
            for point in points where point.x.isFinite && point.y.isFinite {
                average = weight * average + (1 - weight) * point.y
                share = weight * share + (1 - weight)
                line.append(ChartPoint(point.x, average / share))
            }
            return Series(name: name, points: line, rawPoints: weight > 0 ? points : [], color: color)
        }
    }

    /// Spread of a series at one horizontal position.
    public struct BandPoint: Sendable, Hashable {
        /// Position on the horizontal axis.
        public var x: Double
        /// Lower end.
        public var low: Double
        /// Upper end.
        public var high: Double

        /// Creates a spread from its ends.
        public init(x: Double, low: Double, high: Double) {
            self.x = x
            self.low = low
            self.high = high
        }
    }

    /// A horizontal dashed line across the whole plot.
    public struct ReferenceLine: Sendable, Hashable {
        /// Value on the vertical axis.
        public var y: Double
        /// Label at the line; may be empty.
        public var label: String

        /// Creates a reference line.
        public init(y: Double, label: String = "") {
            self.y = y
            self.label = label
        }
    }

    /// A short remark next to a marked point.
    public struct Annotation: Sendable, Hashable {
        /// Point in the values of the axes.
        public var point: ChartPoint
        /// Remark on one line.
        public var text: String

        /// Creates a remark at a point.
        public init(at point: ChartPoint, _ text: String) {
            self.point = point
            self.text = text
        }
    }
}
