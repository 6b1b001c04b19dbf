/// The parts which line and bar charts share: header, insets, vertical axis and grid.
struct PlotFrame: Sendable {
    static let labelSize = 11.0
    static let titleSize = 12.0
    /// The height below the plot taken by one line of tick labels.
    static let labelHeight = 22.0
    static let titleHeight = 20.0
    static let bottomMargin = 10.0
    private static let titleLine = 15.0

    let size: ChartSize
    let header: PlotHeader
    let insets: ChartInsets
    let yAxis: ChartAxis
    let yScale: AxisScale?
    let yTicks: AxisTicks
    private let yTitle: [String]

    /// Lays out the frame; `bottom` and `right` are the room which the chart itself needs there.
    init(
        size: ChartSize, header: PlotHeader, yAxis: ChartAxis, yScale: AxisScale?, bottom: Double,
        right: Double, minimumInsets: ChartInsets
    ) {
        self.size = size
        self.header = header
        self.yAxis = yAxis
        self.yScale = yScale
        var insets = minimumInsets.union(
            ChartInsets(top: header.height, left: 20, bottom: bottom, right: right))
        let height = size.height - insets.top - insets.bottom
        yTicks =
            yScale.map { AxisTicks(scale: $0, format: yAxis.format, length: height, spacing: 48) }
            ?? AxisTicks()
        let labelWidth = yTicks.ticks.map { Self.width(of: $0.label) }.max() ?? 0
        // A long title may reach down beside the labels of the other axis, but not up into the legend.
        yTitle = TextRun.wrap(
            yAxis.title, width: height + insets.bottom - 12, size: Self.titleSize, maxLines: 2)
        let titleWidth = yTitle.isEmpty ? 0 : Self.titleHeight + Double(yTitle.count - 1) * Self.titleLine
        insets.left = max(insets.left, PlotHeader.margin + titleWidth + labelWidth + 8)
        self.insets = insets
    }

    /// The area of the data; never empty, however small the chart.
    var plot: ChartRect {
        ChartRect(
            x: insets.left, y: insets.top, width: max(size.width - insets.left - insets.right, 20),
            height: max(size.height - insets.top - insets.bottom, 20))
    }

    static func width(of label: String) -> Double {
        StrokeFont.width(of: label, size: labelSize)
    }

    /// The height of a value in the picture; `nil` when it cannot be shown.
    func y(_ value: Double) -> Double? {
        yScale?.fraction(value).map { plot.maxY - $0 * plot.height }
    }

    func drawHeader(into drawing: inout Drawing) {
        header.draw(into: &drawing)
        for (index, line) in yTitle.enumerated() {
            let half = StrokeFont.width(of: line, size: Self.titleSize) / 2
            let x = PlotHeader.margin + 9 + Double(index) * Self.titleLine
            drawing.text(
                TextRun(
                    text: line, position: ChartPoint(x, max(plot.midY, plot.y - 4 + half)),
                    size: Self.titleSize, anchor: .middle, rotation: -90))
        }
    }

    func drawHorizontalGrid(into drawing: inout Drawing) {
        for value in yTicks.minor {
            guard let y = y(value) else { continue }
            gridLine(y, color: .faintGrid, into: &drawing)
        }
        for tick in yTicks.ticks {
            guard let y = y(tick.value) else { continue }
            gridLine(y, color: .grid, into: &drawing)
            let baseline = y + Self.labelSize * TextRun.middleOfCapitals
            drawing.text(
                TextRun(
                    text: tick.label, position: ChartPoint(plot.x - 8, baseline), size: Self.labelSize,
                    color: .mutedText, anchor: .end))
        }
    }

    /// The line along the foot of the plot, drawn over the data's edge.
    func drawBaseline(at y: Double? = nil, into drawing: inout Drawing) {
        let y = y ?? plot.maxY
        drawing.line(
            [ChartPoint(plot.x, y), ChartPoint(plot.maxX, y)], color: .axis, width: 1, snaps: true)
    }

    func drawXTitle(_ title: String, into drawing: inout Drawing) {
        let y = size.height - Self.bottomMargin - 4
        let text = TextRun.shorten(title, width: size.width - 2 * PlotHeader.margin, size: Self.titleSize)
        let half = StrokeFont.width(of: text, size: Self.titleSize) / 2
        // Centred under the plot, but never beyond the picture.
        let x = min(max(plot.midX, PlotHeader.margin + half), size.width - PlotHeader.margin - half)
        drawing.text(
            TextRun(text: text, position: ChartPoint(x, y), size: Self.titleSize, anchor: .middle))
    }

    func drawNoData(into drawing: inout Drawing) {
        drawing.line(
            plot.corners + [ChartPoint(plot.x, plot.y)], color: .grid, width: 1)
        drawing.text(
            TextRun(
                text: "no data", position: ChartPoint(plot.midX, plot.midY + 5), size: 13,
                color: .mutedText, anchor: .middle))
    }

    private func gridLine(_ y: Double, color: ChartColor, into drawing: inout Drawing) {
        drawing.line(
            [ChartPoint(plot.x, y), ChartPoint(plot.maxX, y)], color: color, width: 1, snaps: true)
    }
}
