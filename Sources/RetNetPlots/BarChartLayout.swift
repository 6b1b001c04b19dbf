import Foundation
import RetNetReporting

/// The measures of a bar chart at a given size.
struct BarChartLayout {
    private static let groupShare = 0.76
    private static let valueSizes = [10.5, 9.5]
    private static let lineHeight = 14.0
    private static let slant = 35.0
    private static let dash = [4.0, 3.0]

    let chart: BarChart
    let frame: PlotFrame
    /// Lines of each category's name, or one slanted line where horizontal lines have no space.
    private let labels: [[String]]
    private let isSlanted: Bool
    private let groupCount: Int

    init(chart: BarChart, size: ChartSize, minimumInsets: ChartInsets) {
        self.chart = chart
        groupCount = max(chart.categories.count, chart.series.map(\.values.count).max() ?? 0)
        let scale = Self.scale(of: chart)
        let header = PlotHeader(
            title: chart.title, subtitle: chart.subtitle, items: Self.legendItems(of: chart),
            width: size.width)

        func frame(labelHeight: Double, left: Double = 0) -> PlotFrame {
            let title = chart.categoryTitle.isEmpty ? 0 : PlotFrame.titleHeight
            return PlotFrame(
                size: size, header: header, yAxis: chart.valueAxis, yScale: scale,
                bottom: 8 + labelHeight + title + PlotFrame.bottomMargin, right: PlotHeader.margin + 4,
                minimumInsets: minimumInsets.union(ChartInsets(left: left)))
        }
        // The width of the groups follows from the insets, so names are broken in a first layout.
        let slot = frame(labelHeight: Self.lineHeight).plot.width / Double(max(groupCount, 1))
        let wrapped = chart.categories.map {
            TextElement.wrap($0, width: slot - 8, size: PlotFrame.labelSize, maxLines: 3)
        }
        let isWhole = zip(wrapped, chart.categories).allSatisfy { lines, name in
            lines.joined().filter { !$0.isWhitespace } == name.filter { !$0.isWhitespace }
        }
        isSlanted = !isWhole
        if isWhole {
            labels = wrapped
            self.frame = frame(labelHeight: Double(wrapped.map(\.count).max() ?? 1) * Self.lineHeight)
        } else {
            let names = chart.categories.map {
                TextElement.shorten($0, width: min(160, size.height * 0.35), size: PlotFrame.labelSize)
            }
            labels = names.map { [$0] }
            let angle = Self.slant * .pi / 180
            let longest = names.map(PlotFrame.width).max() ?? 0
            // The first names reach to the left of their groups; the others reach less far.
            let reach = names.enumerated().map { index, name in
                PlotFrame.width(of: name) * cos(angle) - (Double(index) + 0.5) * slot * 0.8
            }
            self.frame = frame(
                labelHeight: longest * sin(angle) + 12, left: (reach.max() ?? 0) + 8)
        }
    }

    /// Returns the series, unless there is only one, and the reference lines, whose names have no space at the bars.
    private static func legendItems(of chart: BarChart) -> [PlotHeader.Item] {
        guard chart.legend != .none else { return [] }
        var items: [PlotHeader.Item] = []
        if chart.series.count > 1 || chart.legend != .automatic {
            items = chart.series.enumerated().map { index, series in
                PlotHeader.Item(
                    name: series.name, color: series.color ?? .series(index),
                    symbol: chart.mark == .bars ? .square : .marker)
            }
        }
        return items
            + chart.referenceLines.map {
                PlotHeader.Item(
                    name: $0.label, color: .reference,
                    symbol: .line(dash: Self.dash, hasMarker: false, opacity: 1))
            }
    }

    func drawing() -> Drawing {
        var drawing = Drawing(size: frame.size)
        frame.drawHeader(into: &drawing)
        frame.drawXTitle(chart.categoryTitle, into: &drawing)
        guard let scale = frame.yScale, groupCount > 0 else {
            frame.drawNoData(into: &drawing)
            return drawing
        }
        frame.drawHorizontalGrid(into: &drawing)
        let base =
            chart.mark == .bars ? frame.y(baseValue(scale)) ?? frame.plot.maxY : frame.plot.maxY
        drawing.clipped(to: frame.plot.grown(1)) { drawing in
            drawBars(base: base, into: &drawing)
        }
        frame.drawBaseline(at: base, into: &drawing)
        drawReferenceLines(into: &drawing)
        if chart.showsValues { drawValues(base: base, into: &drawing) }
        drawLabels(into: &drawing)
        return drawing
    }

    private static func scale(of chart: BarChart) -> AxisScale? {
        var values: [Double] = []
        for series in chart.series {
            for (index, value) in series.values.enumerated() {
                guard let value, value.isFinite else { continue }
                values.append(value)
                guard index < series.errors.count, let error = series.errors[index] else { continue }
                values += [value - error, value + error]
            }
        }
        values += chart.referenceLines.map(\.y).filter(\.isFinite)
        var axis = chart.valueAxis
        if chart.mark == .bars { axis.includesZero = true }
        // All bars at zero still need an axis.
        if axis.includesZero, axis.scale == .linear, axis.range == nil, !values.isEmpty,
            values.allSatisfy({ $0 == 0 })
        {
            values.append(1)
        }
        return AxisScale(fitting: values, axis: axis, padding: 0.1)
    }

    private func baseValue(_ scale: AxisScale) -> Double {
        scale.kind == .linear ? min(max(0, scale.lower), scale.upper) : scale.lower
    }

    private var slot: Double { frame.plot.width / Double(max(groupCount, 1)) }

    private var barWidth: Double {
        let count = Double(max(chart.series.count, 1))
        return min(slot * Self.groupShare / count, 64)
    }

    private func center(group: Int, series: Int) -> Double {
        let middle = frame.plot.x + (Double(group) + 0.5) * slot
        return middle + (Double(series) - Double(chart.series.count - 1) / 2) * barWidth
    }

    private func forEachBar(_ body: (_ x: Double, _ y: Double, _ series: Int, _ group: Int) -> Void) {
        for (index, series) in chart.series.enumerated() {
            for (group, value) in series.values.enumerated() {
                guard let value, let y = frame.y(value) else { continue }
                body(center(group: group, series: index), y, index, group)
            }
        }
    }

    private func drawBars(base: Double, into drawing: inout Drawing) {
        let gap = barWidth > 8 ? 2.0 : 0
        forEachBar { x, y, index, group in
            let color = chart.series[index].color ?? .series(index)
            switch chart.mark {
            case .bars:
                let rect = ChartRect(
                    x: x - (barWidth - gap) / 2, y: min(y, base), width: barWidth - gap,
                    height: abs(base - y))
                drawing.polygon(rect.corners, color: color)
                drawError(index, group, at: x, color: .title, into: &drawing)
            case .points:
                drawError(index, group, at: x, color: color, into: &drawing)
                drawing.add(.marker(center: ChartPoint(x, y), radius: 4.5, color))
            }
        }
    }

    private func drawError(
        _ series: Int, _ group: Int, at x: Double, color: ChartColor, into drawing: inout Drawing
    ) {
        guard let (low, high) = errorEnds(series, group) else { return }
        let cap = min(4, barWidth / 4)
        drawing.line([ChartPoint(x, low), ChartPoint(x, high)], color: color, width: 1, snaps: true)
        for end in [low, high] {
            drawing.line(
                [ChartPoint(x - cap, end), ChartPoint(x + cap, end)], color: color, width: 1, snaps: true)
        }
    }

    private func errorEnds(_ series: Int, _ group: Int) -> (low: Double, high: Double)? {
        let series = chart.series[series]
        guard group < series.errors.count, let error = series.errors[group], error > 0,
            let value = series.values[group], let high = frame.y(value + error)
        else { return nil }
        return (frame.y(value - error) ?? frame.plot.maxY, high)
    }

    private func drawValues(base: Double, into drawing: inout Drawing) {
        let texts = valueTexts()
        // All or none: single missing numbers would look like errors.
        let room = chart.series.count > 1 ? barWidth : slot
        let size = Self.valueSizes.first { size in
            texts.joined().allSatisfy { StrokeFont.width(of: $0, size: size) + 3 <= room }
        }
        guard let size else { return }
        forEachBar { x, y, index, group in
            guard frame.plot.grown(1).contains(ChartPoint(x, y)) else { return }
            let ends = errorEnds(index, group)
            let isUpward = y <= base
            let radius = chart.mark == .points ? 4.5 : 0
            let baseline =
                isUpward ? min(y - radius, ends?.high ?? y) - 5 : max(y, ends?.low ?? y) + 13
            drawing.text(
                TextElement(
                    text: texts[index][group], position: ChartPoint(x, baseline), size: size,
                    anchor: .middle, hasHalo: true))
        }
    }

    private func valueTexts() -> [[String]] {
        let write = valueWriter()
        return chart.series.map { $0.values.map { $0.map(write) ?? "" } }
    }

    /// Returns a function that formats all values with the same number of decimals if their sizes allow it.
    private func valueWriter() -> (Double) -> String {
        switch chart.valueAxis.format {
        case .percent: return { Format.percent($0) }
        case .bytes: return { Format.bytes($0) }
        case .automatic: break
        }
        let sizes = chart.series.flatMap { $0.values.compactMap { $0.map(abs) } }.filter {
            $0 > 0 && $0.isFinite
        }
        let (smallest, largest) = (sizes.min() ?? 1, sizes.max() ?? 1)
        if smallest >= 0.01, largest < 999.5, largest < smallest * 1000 {
            let most = max(0, 2 - Int(log10(largest).rounded(.down)))
            let needed = sizes.map { size in
                Format.trimmed(Format.fixed(size, decimals: most)).split(separator: ".").dropFirst().first?
                    .count ?? 0
            }
            let decimals = needed.max() ?? 0
            return { Format.fixed($0, decimals: decimals) }
        }
        return { value in
            if value == 0 { return "0" }
            if abs(value) >= 999.5 { return Format.count(value) }
            return abs(value) < 1e-3
                ? Format.number(value, significantDigits: 2)
                : Format.trimmed(Format.number(value, significantDigits: 3))
        }
    }

    private func drawReferenceLines(into drawing: inout Drawing) {
        let plot = frame.plot
        for line in chart.referenceLines {
            guard let y = frame.y(line.y), y >= plot.y, y <= plot.maxY else { continue }
            drawing.line(
                [ChartPoint(plot.x, y), ChartPoint(plot.maxX, y)], color: .reference, width: 1,
                dash: Self.dash, snaps: true)
        }
    }

    private func drawLabels(into drawing: inout Drawing) {
        let top = frame.plot.maxY + 16
        for (group, lines) in labels.enumerated() {
            let x = frame.plot.x + (Double(group) + 0.5) * slot
            for (index, line) in lines.enumerated() {
                let position = ChartPoint(x, top + Double(index) * Self.lineHeight)
                drawing.text(
                    isSlanted
                        ? TextElement(
                            text: line, position: ChartPoint(x + 4, top - 2), size: PlotFrame.labelSize,
                            anchor: .end, rotation: -Self.slant)
                        : TextElement(
                            text: line, position: position, size: PlotFrame.labelSize, anchor: .middle))
            }
        }
    }
}
