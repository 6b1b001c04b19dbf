/// Finds places for labels where they hide as little as possible.
struct LabelPlacer {
    private let area: ChartRect
    private var points: [ChartPoint] = []
    private var marks: [ChartRect] = []
    private var labels: [ChartRect] = []

    init(area: ChartRect) {
        self.area = area
    }

    /// Keeps labels off a line.
    mutating func avoid(line: [ChartPoint]) {
        for (start, end) in zip(line, line.dropFirst()) {
            let steps = min(max(Int(((end - start).length / 5).rounded(.up)), 1), 1000)
            for step in 0..<steps {
                points.append(start + (end - start) * (Double(step) / Double(steps)))
            }
        }
        if let last = line.last { points.append(last) }
    }

    /// Keeps labels off a mark, unless there is no other place.
    mutating func avoid(mark: ChartRect) {
        marks.append(mark)
    }

    /// Chooses the best of some places, the first ones preferred, and keeps later labels off it.
    ///
    /// `nil` when no place lies inside of the area or all overlap with other labels.
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
