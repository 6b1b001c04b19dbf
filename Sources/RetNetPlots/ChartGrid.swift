/// A grid of charts in cells of equal size.
///
/// The plot areas of a column are aligned, and so are those of a row.
public struct ChartGrid: Chart {
    /// Title above all charts; may be empty.
    public var title: String
    /// Subtitle below the title; may be empty.
    public var subtitle: String
    /// Charts, row by row.
    public var charts: [any Chart]
    /// Number of charts per row, at least one.
    public var columnCount: Int

    /// Creates a grid from its charts.
    public init(title: String = "", subtitle: String = "", charts: [any Chart], columnCount: Int = 2) {
        self.title = title
        self.subtitle = subtitle
        self.charts = charts
        self.columnCount = columnCount
    }

    /// Size at which every cell has the size of the largest chart.
    public var size: ChartSize {
        let width = charts.map(\.size.width).max() ?? ChartSize.standard.width
        let height = charts.map(\.size.height).max() ?? ChartSize.standard.height
        let total = Double(columns) * width
        return ChartSize(width: total, height: Double(rows) * height + header(width: total).height)
    }

    /// Returns the space for the title.
    public func insets(in size: ChartSize) -> ChartInsets {
        ChartInsets(top: header(width: size.width).height)
    }

    /// Lays out all charts at a given size.
    public func drawing(size: ChartSize, minimumInsets: ChartInsets) -> Drawing {
        var drawing = Drawing(size: size)
        let header = header(width: size.width)
        if hasHeader { header.draw(into: &drawing) }
        let top = max(hasHeader ? header.height - 6 : 0, minimumInsets.top)
        let cell = ChartSize(
            width: size.width / Double(columns), height: (size.height - top) / Double(max(rows, 1)))
        let insets = charts.map { $0.insets(in: cell) }
        for (index, chart) in charts.enumerated() {
            let (row, column) = (index / columns, index % columns)
            var shared = ChartInsets()
            for (other, wanted) in insets.enumerated() {
                if other / columns == row {
                    shared.top = max(shared.top, wanted.top)
                    shared.bottom = max(shared.bottom, wanted.bottom)
                }
                if other % columns == column {
                    shared.left = max(shared.left, wanted.left)
                    shared.right = max(shared.right, wanted.right)
                }
            }
            drawing.add(
                chart.drawing(size: cell, minimumInsets: shared), x: Double(column) * cell.width,
                y: top + Double(row) * cell.height)
        }
        return drawing
    }

    private var columns: Int { min(max(columnCount, 1), max(charts.count, 1)) }

    private var rows: Int { (charts.count + columns - 1) / columns }

    private var hasHeader: Bool { !title.isEmpty || !subtitle.isEmpty }

    private func header(width: Double) -> PlotHeader {
        PlotHeader(title: title, subtitle: subtitle, items: [], width: width, titleSize: 18)
    }
}
