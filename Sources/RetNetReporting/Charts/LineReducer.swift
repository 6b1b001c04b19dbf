/// Thins out lines which have far more points than the picture has columns.
enum LineReducer {
    /// Keeps, in each half point of width, the first, lowest, highest and last point.
    ///
    /// Lines which go backwards are kept as they are.
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
