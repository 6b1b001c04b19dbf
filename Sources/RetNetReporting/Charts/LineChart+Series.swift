extension LineChart {
    /// One line of a chart, with what belongs to it.
    public struct Series: Sendable, Hashable {
        /// The name for the legend; an empty name is not listed.
        public var name: String
        /// The points of the main line.
        public var points: [ChartPoint]
        /// The unsmoothed points, drawn as a thin light line below the main one.
        public var rawPoints: [ChartPoint]
        /// The spread around the line, drawn as a light area.
        public var band: [BandPoint]
        /// The colour; `nil` takes the next one of the palette.
        public var color: ChartColor?
        /// The width of the main line in points.
        public var lineWidth: Double
        /// Whether the main line is dashed.
        public var isDashed: Bool
        /// Whether the points are joined by a line.
        public var showsLine: Bool
        /// Whether each point is marked.
        public var showsMarkers: Bool

        /// Makes a series from its parts.
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

        /// Makes a smoothed line over its own raw points.
        ///
        /// `smoothing` is the weight, from 0 up to but not 1, which the exponential moving average keeps
        /// of the past; its start is corrected for bias. Values that are not finite are passed over.
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

    /// The spread of a series at one place.
    public struct BandPoint: Sendable, Hashable {
        /// The place on the horizontal axis.
        public var x: Double
        /// The lower end.
        public var low: Double
        /// The upper end.
        public var high: Double

        /// Makes a spread from its ends.
        public init(x: Double, low: Double, high: Double) {
            self.x = x
            self.low = low
            self.high = high
        }
    }

    /// A level dashed line across the whole plot.
    public struct ReferenceLine: Sendable, Hashable {
        /// The value on the vertical axis.
        public var y: Double
        /// The text at the line; may be empty.
        public var label: String

        /// Makes a reference line.
        public init(y: Double, label: String = "") {
            self.y = y
            self.label = label
        }
    }

    /// A short remark beside a marked point.
    public struct Annotation: Sendable, Hashable {
        /// The point, in the values of the axes.
        public var point: ChartPoint
        /// The remark, on one line.
        public var text: String

        /// Makes a remark at a point.
        public init(at point: ChartPoint, _ text: String) {
            self.point = point
            self.text = text
        }
    }
}
