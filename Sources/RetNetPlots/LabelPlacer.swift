/// Places labels where they cover as little as possible.
struct LabelPlacer {
    private let area: ChartRect
    private var points: [ChartPoint] = []
    private var marks: [ChartRect] = []
    private var labels: [ChartRect] = []

    init(area: ChartRect) {
        self.area = area
    }

    /// Adds a line that labels should not cover.
    mutating func avoid(line: [ChartPoint]) {
        for (start, end) in zip(line, line.dropFirst()) {
            let steps = min(max(Int(((end - start).length / 5).rounded(.up)), 1), 1000)
            for step in 0..<steps {
                points.append(start + (end - start) * (Double(step) / Double(steps)))
            }
        }
        if let last = line.last { points.append(last) }
    }

    /// Adds a mark that labels cover only if there is no other place.
    mutating func avoid(mark: ChartRect) {
        marks.append(mark)
    }

    /// Chooses the best of the candidates, earlier ones preferred, and reserves it.
    ///
    /// Returns `nil` if all lie outside the area or overlap with other labels.
    mutating func place(_ candidates: [ChartRect]) -> ChartRect? {
        var best: (box: ChartRect, cost: Int)?
        for (index, box) in candidates.enumerated() where area.contains(box) {
            let tested = box.grown(2)
            if labels.contains(where: tested.intersects) { continue }
            let hidden = points.count(where: tested.contains) + 20 * marks.count(where: tested.intersects)
            let cost = hidden * 10 + index
            if cost < best?.cost ?? Int.max { best = (box, cost) }
        }
        if let best { labels.append(best.box) }
        return best?.box
    }
}

/// Reduces lines with far more points than the picture has columns.
enum LineReducer {
    /// Keeps the first, lowest, highest and last point of each half point of width.
    ///
    /// Lines that run backwards are returned unchanged.
    static func reduce(_ points: [ChartPoint]) -> [ChartPoint] {
        guard points.count > 2000, zip(points, points.dropFirst()).allSatisfy({ $0.x <= $1.x }) else {
            return points
        }
        var result: [ChartPoint] = []
        var start = 0
        while start < points.count {
            let column = (points[start].x * 2).rounded(.down)
            var end = start + 1
            while end < points.count, (points[end].x * 2).rounded(.down) == column { end += 1 }
            let indices = start..<end
            let low = indices.min { points[$0].y < points[$1].y } ?? start
            let high = indices.max { points[$0].y < points[$1].y } ?? start
            for index in Set([start, low, high, end - 1]).sorted() { result.append(points[index]) }
            start = end
        }
        return result
    }
}

/// Clips lines to the neighborhood of the plot.
enum LineClipper {
    /// Returns the pieces of a polyline inside `rect`, by the method of Liang and Barsky.
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
