/// The title, subtitle and legend above a plot.
struct PlotHeader: Sendable {
    struct Item: Sendable {
        enum Symbol: Sendable {
            case line(dash: [Double], hasMarker: Bool, opacity: Double)
            case marker
            case square

            /// Width in points; a line has space for three dashes.
            var width: Double {
                switch self {
                case .line: 26
                case .marker: 8
                case .square: 12
                }
            }
        }

        let name: String
        let color: ChartColor
        let symbol: Symbol
    }

    static let margin = 16.0
    private static let textSize = 12.0
    private static let symbolGap = 7.0
    private static let itemGap = 20.0
    private static let rowHeight = 19.0

    private let titleSize: Double
    private let titles: [String]
    private let subtitles: [String]
    private var rows: [[Item]] = []
    /// Height of the header with its margins.
    let height: Double

    init(title: String, subtitle: String, items: [Item], width: Double, titleSize: Double = 15) {
        self.titleSize = titleSize
        let room = width - 2 * Self.margin
        titles = TextElement.wrap(title, width: room, size: titleSize, isBold: true, maxLines: 3)
        subtitles = TextElement.wrap(subtitle, width: room, size: Self.textSize, maxLines: 3)
        var used = Double.infinity
        for item in items where !item.name.isEmpty {
            let name = TextElement.shorten(
                item.name, width: room - item.symbol.width - Self.symbolGap, size: Self.textSize)
            let item = Item(name: name, color: item.color, symbol: item.symbol)
            let itemWidth = Self.width(of: item)
            if used + itemWidth > room {
                rows.append([])
                used = 0
            }
            rows[rows.count - 1].append(item)
            used += itemWidth + Self.itemGap
        }
        var height = 14.0
        height += Double(titles.count) * (titleSize + 5) + Double(subtitles.count) * 16
        if !titles.isEmpty || !subtitles.isEmpty { height += 6 }
        height += Double(rows.count) * Self.rowHeight
        self.height = height + (rows.isEmpty ? 4 : 8)
    }

    func draw(into drawing: inout Drawing) {
        var y = 14.0
        for line in titles {
            drawing.text(
                TextElement(
                    text: line, position: ChartPoint(Self.margin, y + titleSize * 0.87), size: titleSize,
                    color: .title, isBold: true))
            y += titleSize + 5
        }
        for line in subtitles {
            drawing.text(
                TextElement(
                    text: line, position: ChartPoint(Self.margin, y + 11), size: Self.textSize,
                    color: .mutedText))
            y += 16
        }
        if !titles.isEmpty || !subtitles.isEmpty { y += 6 }
        for row in rows {
            var x = Self.margin
            for item in row {
                draw(item, x: x, y: y + Self.rowHeight / 2, into: &drawing)
                x += Self.width(of: item) + Self.itemGap
            }
            y += Self.rowHeight
        }
    }

    private static func width(of item: Item) -> Double {
        item.symbol.width + symbolGap + StrokeFont.width(of: item.name, size: textSize)
    }

    private func draw(_ item: Item, x: Double, y: Double, into drawing: inout Drawing) {
        let width = item.symbol.width
        let middle = ChartPoint(x + width / 2, y)
        switch item.symbol {
        case .line(let dash, let hasMarker, let opacity):
            drawing.line(
                [ChartPoint(x, y), ChartPoint(x + width, y)], color: item.color, width: 2,
                opacity: opacity, dash: dash)
            if hasMarker { drawing.add(.marker(center: middle, radius: 3.5, item.color)) }
        case .marker:
            drawing.add(.marker(center: middle, radius: 3.5, item.color))
        case .square:
            let rect = ChartRect(x: x, y: y - 6, width: 12, height: 12)
            drawing.polygon(rect.corners, color: item.color)
        }
        let baseline = y + Self.textSize * TextElement.middleOfCapitals
        drawing.text(
            TextElement(
                text: item.name,
                position: ChartPoint(x + width + Self.symbolGap, baseline),
                size: Self.textSize))
    }
}

/// The parts that line and bar charts share: header, insets, vertical axis and grid.
struct PlotFrame: Sendable {
    static let labelSize = 11.0
    static let titleSize = 12.0
    /// Height of one line of tick labels below the plot.
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

    /// Lays out the frame; `bottom` and `right` are the space that the chart itself needs there.
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
        // A long title may extend next to the labels of the other axis, but not into the legend.
        yTitle = TextElement.wrap(
            yAxis.title, width: height + insets.bottom - 12, size: Self.titleSize, maxLines: 2)
        let titleWidth = yTitle.isEmpty ? 0 : Self.titleHeight + Double(yTitle.count - 1) * Self.titleLine
        insets.left = max(insets.left, PlotHeader.margin + titleWidth + labelWidth + 8)
        self.insets = insets
    }

    /// Area of the data; never empty, however small the chart.
    var plot: ChartRect {
        ChartRect(
            x: insets.left, y: insets.top, width: max(size.width - insets.left - insets.right, 20),
            height: max(size.height - insets.top - insets.bottom, 20))
    }

    static func width(of label: String) -> Double {
        StrokeFont.width(of: label, size: labelSize)
    }

    /// Returns the vertical position of a value in the picture; `nil` if it cannot be shown.
    func y(_ value: Double) -> Double? {
        yScale?.fraction(value).map { plot.maxY - $0 * plot.height }
    }

    func drawHeader(into drawing: inout Drawing) {
        header.draw(into: &drawing)
        for (index, line) in yTitle.enumerated() {
            let half = StrokeFont.width(of: line, size: Self.titleSize) / 2
            let x = PlotHeader.margin + 9 + Double(index) * Self.titleLine
            drawing.text(
                TextElement(
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
            let baseline = y + Self.labelSize * TextElement.middleOfCapitals
            drawing.text(
                TextElement(
                    text: tick.label, position: ChartPoint(plot.x - 8, baseline), size: Self.labelSize,
                    color: .mutedText, anchor: .end))
        }
    }

    /// Draws the line along the bottom of the plot, over the edge of the data.
    func drawBaseline(at y: Double? = nil, into drawing: inout Drawing) {
        let y = y ?? plot.maxY
        drawing.line(
            [ChartPoint(plot.x, y), ChartPoint(plot.maxX, y)], color: .axis, width: 1, snaps: true)
    }

    func drawXTitle(_ title: String, into drawing: inout Drawing) {
        let y = size.height - Self.bottomMargin - 4
        let text = TextElement.shorten(title, width: size.width - 2 * PlotHeader.margin, size: Self.titleSize)
        let half = StrokeFont.width(of: text, size: Self.titleSize) / 2
        // Centered under the plot, but never outside the picture.
        let x = min(max(plot.midX, PlotHeader.margin + half), size.width - PlotHeader.margin - half)
        drawing.text(
            TextElement(text: text, position: ChartPoint(x, y), size: Self.titleSize, anchor: .middle))
    }

    func drawNoData(into drawing: inout Drawing) {
        drawing.line(
            plot.corners + [ChartPoint(plot.x, plot.y)], color: .grid, width: 1)
        drawing.text(
            TextElement(
                text: "no data", position: ChartPoint(plot.midX, plot.midY + 5), size: 13,
                color: .mutedText, anchor: .middle))
    }

    private func gridLine(_ y: Double, color: ChartColor, into drawing: inout Drawing) {
        drawing.line(
            [ChartPoint(plot.x, y), ChartPoint(plot.maxX, y)], color: color, width: 1, snaps: true)
    }
}
