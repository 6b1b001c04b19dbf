/// The title, subtitle and legend above a plot.
struct PlotHeader: Sendable {
    struct Item: Sendable {
        enum Symbol: Sendable {
            case line(dash: [Double], hasMarker: Bool, opacity: Double)
            case marker
            case block

            /// The room in points; a line has room for three dashes.
            var width: Double {
                switch self {
                case .line: 26
                case .marker: 8
                case .block: 12
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
    /// The height of everything, with the room above and below.
    let height: Double

    init(title: String, subtitle: String, items: [Item], width: Double, titleSize: Double = 15) {
        self.titleSize = titleSize
        let room = width - 2 * Self.margin
        titles = TextRun.wrap(title, width: room, size: titleSize, isBold: true, maxLines: 3)
        subtitles = TextRun.wrap(subtitle, width: room, size: Self.textSize, maxLines: 3)
        var used = Double.infinity
        for item in items where !item.name.isEmpty {
            let name = TextRun.shorten(
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
                TextRun(
                    text: line, position: ChartPoint(Self.margin, y + titleSize * 0.87), size: titleSize,
                    color: .title, isBold: true))
            y += titleSize + 5
        }
        for line in subtitles {
            drawing.text(
                TextRun(
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
        case .block:
            let rect = ChartRect(x: x, y: y - 6, width: 12, height: 12)
            drawing.polygon(rect.corners, color: item.color)
        }
        let baseline = y + Self.textSize * TextRun.middleOfCapitals
        drawing.text(
            TextRun(
                text: item.name,
                position: ChartPoint(x + width + Self.symbolGap, baseline),
                size: Self.textSize))
    }
}
