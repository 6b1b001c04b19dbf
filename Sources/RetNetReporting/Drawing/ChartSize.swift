/// The width and height of a chart in points; one point is one pixel at scale 1.
public struct ChartSize: Sendable, Hashable {
    /// The width in points.
    public let width: Double
    /// The height in points.
    public let height: Double

    /// Makes a size, at least 200 by 140 points so that axes and labels have room.
    public init(width: Double, height: Double) {
        self.width = width.isFinite ? min(max(width, 200), 20_000) : 720
        self.height = height.isFinite ? min(max(height, 140), 20_000) : 420
    }

    /// 720 by 420 points, good for one chart across a page.
    public static let standard = ChartSize(width: 720, height: 420)
}
