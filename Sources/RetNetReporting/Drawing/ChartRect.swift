/// An upright rectangle in points, `y` growing downwards.
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

    /// The rectangle grown by `margin` on every side.
    func grown(_ margin: Double) -> ChartRect {
        ChartRect(x: x - margin, y: y - margin, width: width + 2 * margin, height: height + 2 * margin)
    }
}
