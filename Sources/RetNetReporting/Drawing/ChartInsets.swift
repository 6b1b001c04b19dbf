/// The room between the edges of a chart and its plot area, in points.
public struct ChartInsets: Sendable, Hashable {
    /// The room for title and legend.
    public var top: Double
    /// The room for the labels of the vertical axis.
    public var left: Double
    /// The room for the labels of the horizontal axis.
    public var bottom: Double
    /// The room for labels at the ends of lines.
    public var right: Double

    /// Makes insets, all zero if not given.
    public init(top: Double = 0, left: Double = 0, bottom: Double = 0, right: Double = 0) {
        self.top = top
        self.left = left
        self.bottom = bottom
        self.right = right
    }

    /// The greater of both, edge by edge.
    func union(_ other: ChartInsets) -> ChartInsets {
        ChartInsets(
            top: max(top, other.top), left: max(left, other.left), bottom: max(bottom, other.bottom),
            right: max(right, other.right))
    }
}
