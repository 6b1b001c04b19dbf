import RetNetReporting

/// A small line chart of characters.
struct TerminalChart {
    /// The points, from left to right.
    let points: [(x: Double, y: Double)]

    /// Returns the chart with labels on both axes; empty without two points.
    func text(width: Int, height: Int) -> String {
        let finite = points.filter { $0.x.isFinite && $0.y.isFinite }
        guard let first = finite.first, let last = finite.last, last.x > first.x, height > 1, width > 1 else {
            return ""
        }
        // Each column shows the mean of its points, which reduces noise.
        var sums = [(sum: Double, count: Double)](repeating: (0, 0), count: width)
        for point in finite {
            let column = min(width - 1, Int((point.x - first.x) / (last.x - first.x) * Double(width)))
            sums[column].sum += point.y
            sums[column].count += 1
        }
        let means = sums.map { $0.count > 0 ? $0.sum / $0.count : nil }
        let known = means.compactMap { $0 }
        guard let low = known.min(), let high = known.max() else { return "" }
        let span = max(high - low, 1e-9)
        var rows = [[Character]](repeating: [Character](repeating: " ", count: width), count: height)
        for (column, mean) in means.enumerated() {
            guard let mean else { continue }
            let row = Int(((high - mean) / span * Double(height - 1)).rounded())
            rows[min(max(row, 0), height - 1)][column] = "*"
        }
        let lines = rows.enumerated().map { index, row in
            let value = high - span * Double(index) / Double(height - 1)
            let label = index % 3 == 0 || index == height - 1 ? Format.fixed(value, decimals: 2) : ""
            return String(repeating: " ", count: max(0, 7 - label.count)) + label + " |" + String(row)
        }
        let from = Format.grouped(Int(first.x))
        let to = Format.grouped(Int(last.x))
        let gap = String(repeating: " ", count: max(1, width - from.count - to.count))
        let indent = String(repeating: " ", count: 8)
        return
            (lines + [indent + "+" + String(repeating: "-", count: width), indent + " " + from + gap + to])
            .joined(separator: "\n")
    }
}
