/// Width and height of a chart in points; one point is one pixel at scale 1.
public struct ChartSize: Sendable, Hashable {
    /// Width in points.
    public let width: Double
    /// Height in points.
    public let height: Double

    /// Creates a size of at least 200 by 140 points, so that axes and labels have space.
    public init(width: Double, height: Double) {
        self.width = width.isFinite ? min(max(width, 200), 20_000) : 720
        self.height = height.isFinite ? min(max(height, 140), 20_000) : 420
    }

    /// 720 by 420 points, for one chart across a page.
    public static let standard = ChartSize(width: 720, height: 420)
}

/// Space between the edges of a chart and its plot area, in points.
public struct ChartInsets: Sendable, Hashable {
    /// Space for title and legend.
    public var top: Double
    /// Space for the labels of the vertical axis.
    public var left: Double
    /// Space for the labels of the horizontal axis.
    public var bottom: Double
    /// Space for labels at the ends of lines.
    public var right: Double

    /// Creates insets, zero by default.
    public init(top: Double = 0, left: Double = 0, bottom: Double = 0, right: Double = 0) {
        self.top = top
        self.left = left
        self.bottom = bottom
        self.right = right
    }

    /// Returns the larger insets, edge by edge.
    func union(_ other: ChartInsets) -> ChartInsets {
        ChartInsets(
            top: max(top, other.top), left: max(left, other.left), bottom: max(bottom, other.bottom),
            right: max(right, other.right))
    }
}

/// A point of the data, or of the picture with `y` downwards.
public struct ChartPoint: Sendable, Hashable {
    /// Horizontal coordinate.
    public var x: Double
    /// Vertical coordinate.
    public var y: Double

    /// Creates a point from its coordinates.
    public init(_ x: Double, _ y: Double) {
        self.x = x
        self.y = y
    }

    static func + (left: ChartPoint, right: ChartPoint) -> ChartPoint {
        ChartPoint(left.x + right.x, left.y + right.y)
    }

    static func - (left: ChartPoint, right: ChartPoint) -> ChartPoint {
        ChartPoint(left.x - right.x, left.y - right.y)
    }

    static func * (point: ChartPoint, factor: Double) -> ChartPoint {
        ChartPoint(point.x * factor, point.y * factor)
    }

    /// Distance from the origin.
    var length: Double { (x * x + y * y).squareRoot() }
}

/// An axis-aligned rectangle in points, with `y` downwards.
struct ChartRect: Sendable, Hashable {
    var x: Double
    var y: Double
    var width: Double
    var height: Double

    var maxX: Double { x + width }
    var maxY: Double { y + height }
    var midX: Double { x + width / 2 }
    var midY: Double { y + height / 2 }

    var corners: [ChartPoint] {
        [ChartPoint(x, y), ChartPoint(maxX, y), ChartPoint(maxX, maxY), ChartPoint(x, maxY)]
    }

    func contains(_ point: ChartPoint) -> Bool {
        point.x >= x && point.x <= maxX && point.y >= y && point.y <= maxY
    }

    func contains(_ other: ChartRect) -> Bool {
        other.x >= x && other.maxX <= maxX && other.y >= y && other.maxY <= maxY
    }

    func intersects(_ other: ChartRect) -> Bool {
        x < other.maxX && other.x < maxX && y < other.maxY && other.y < maxY
    }

    /// Returns the rectangle extended by `margin` on every side.
    func grown(_ margin: Double) -> ChartRect {
        ChartRect(x: x - margin, y: y - margin, width: width + 2 * margin, height: height + 2 * margin)
    }
}
