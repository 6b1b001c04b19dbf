/// How a line is drawn.
struct DrawingStroke: Sendable, Hashable {
    var color: ChartColor
    var width: Double
    var opacity: Double = 1
    /// Lengths of strokes and gaps in turn; empty for a solid line.
    var dash: [Double] = []
    /// Whether an upright or level line is moved to whole pixels, so that it stays crisp.
    var snaps = false
}

/// One shape of a picture.
indirect enum DrawingElement: Sendable {
    /// Polylines of one colour; where they overlap, a translucent colour does not add up.
    case lines([[ChartPoint]], DrawingStroke)
    case polygon([ChartPoint], ChartColor, opacity: Double)
    /// A disc with a white rim, which sets it off from lines beneath.
    case marker(center: ChartPoint, radius: Double, ChartColor)
    case text(TextRun)
    case clip(ChartRect, [DrawingElement])

    func moved(by offset: ChartPoint) -> DrawingElement {
        switch self {
        case .lines(let lines, let stroke):
            return .lines(lines.map { $0.map { $0 + offset } }, stroke)
        case .polygon(let points, let color, let opacity):
            return .polygon(points.map { $0 + offset }, color, opacity: opacity)
        case .marker(let center, let radius, let color):
            return .marker(center: center + offset, radius: radius, color)
        case .text(var run):
            run.position = run.position + offset
            return .text(run)
        case .clip(var rect, let elements):
            rect.x += offset.x
            rect.y += offset.y
            return .clip(rect, elements.map { $0.moved(by: offset) })
        }
    }
}
