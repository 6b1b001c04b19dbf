/// Cuts off the parts of lines which lie far outside of the plot.
enum LineClipper {
    /// The pieces of a polyline inside of `rect`, by the method of Liang and Barsky.
    static func clip(_ points: [ChartPoint], to rect: ChartRect) -> [[ChartPoint]] {
        if points.allSatisfy(rect.contains) { return [points] }
        var pieces: [[ChartPoint]] = []
        var current: [ChartPoint] = []
        for (start, end) in zip(points, points.dropFirst()) {
            guard let (first, last) = clip(start, end, to: rect) else { continue }
            if current.last != first {
                if current.count > 1 { pieces.append(current) }
                current = [first]
            }
            current.append(last)
        }
        if current.count > 1 { pieces.append(current) }
        return pieces
    }

    private static func clip(_ start: ChartPoint, _ end: ChartPoint, to rect: ChartRect)
        -> (ChartPoint, ChartPoint)?
    {
        let step = end - start
        var (from, to) = (0.0, 1.0)
        // Each pair holds for one edge the change of the distance and the distance to the inside.
        let edges = [
            (-step.x, start.x - rect.x), (step.x, rect.maxX - start.x),
            (-step.y, start.y - rect.y), (step.y, rect.maxY - start.y),
        ]
        for (change, distance) in edges {
            if change == 0 {
                if distance < 0 { return nil }
            } else if change < 0 {
                from = max(from, distance / change)
            } else {
                to = min(to, distance / change)
            }
        }
        guard from <= to else { return nil }
        let first = from == 0 ? start : start + step * from
        let last = to == 1 ? end : start + step * to
        return (first, last)
    }
}
