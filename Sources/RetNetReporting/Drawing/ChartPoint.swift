/// A point of a chart: of its data, or of its picture with `y` growing downwards.
public struct ChartPoint: Sendable, Hashable {
    /// The horizontal coordinate.
    public var x: Double
    /// The vertical coordinate.
    public var y: Double

    /// Makes a point from its coordinates.
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

    /// The distance from the origin.
    var length: Double { (x * x + y * y).squareRoot() }
}
