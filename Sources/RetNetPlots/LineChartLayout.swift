/// The measures of a line chart at a given size.
struct LineChartLayout {
    /// A series name at the end of its line.
    struct EndLabel {
        let text: String
        let color: ChartColor
        /// End of the line as a fraction of the vertical axis.
        let fraction: Double
    }

    static let endLabelGap = 10.0
    private static let endLabelSpacing = 15.0

    let chart: LineChart
    let frame: PlotFrame
    let xScale: AxisScale?
    let xTicks: AxisTicks
    let endLabels: [EndLabel]

    init(chart: LineChart, size: ChartSize, minimumInsets: ChartInsets) {
        self.chart = chart
        let xScale = Self.xScale(of: chart)
        let yScale = xScale.flatMap { Self.yScale(of: chart, xScale: $0) }
        self.xScale = yScale == nil ? nil : xScale
        let labels = Self.endLabels(of: chart, xScale: xScale, yScale: yScale)
        let labelWidth = labels.map { Self.width(of: $0) }.max() ?? 0
        let bottom =
            PlotFrame.labelHeight + (chart.xAxis.title.isEmpty ? 0 : PlotFrame.titleHeight)
            + PlotFrame.bottomMargin
        let endRight = PlotHeader.margin + labelWidth + Self.endLabelGap

        func frame(withEndLabels: Bool) -> PlotFrame {
            let items = withEndLabels ? [] : Self.legendItems(of: chart)
            let header = PlotHeader(
                title: chart.title, subtitle: chart.subtitle, items: items, width: size.width)
            return PlotFrame(
                size: size, header: header, yAxis: chart.yAxis, yScale: yScale, bottom: bottom,
                right: withEndLabels ? endRight : PlotHeader.margin + 12, minimumInsets: minimumInsets)
        }
        let wantsEnds = chart.legend == .lineEnds || chart.legend == .automatic
        let withEnds = frame(withEndLabels: true)
        let isForced = chart.legend == .lineEnds
        let fits = Self.fit(labels, width: labelWidth, height: withEnds.plot.height, size: size)
        if wantsEnds, !labels.isEmpty, isForced || fits {
            self.frame = withEnds
            endLabels = labels
        } else {
            self.frame = frame(withEndLabels: false)
            endLabels = []
        }
        let length = self.frame.plot.width
        xTicks =
            self.xScale.map {
                AxisTicks.fitting(
                    scale: $0, format: chart.xAxis.format, length: length,
                    labelSize: PlotFrame.labelSize)
            } ?? AxisTicks()
    }

    static func color(of chart: LineChart, _ index: Int) -> ChartColor {
        chart.series[index].color ?? .series(index)
    }

    static let dash = [6.0, 4.0]

    /// Returns the vertical positions of the end labels, without overlap, in the order of `endLabels`.
    func endLabelHeights() -> [Double] {
        let plot = frame.plot
        let wanted = endLabels.map { plot.maxY - $0.fraction * plot.height }
        return Self.spread(wanted, in: plot)
    }

    /// Moves labels apart as little as possible and keeps their order.
    private static func spread(_ wanted: [Double], in plot: ChartRect) -> [Double] {
        let order = wanted.indices.sorted { wanted[$0] < wanted[$1] }
        var places = order.map { min(max(wanted[$0], plot.y), plot.maxY) }
        for _ in 0..<40 {
            for index in places.indices.dropFirst() {
                let overlap = places[index - 1] + endLabelSpacing - places[index]
                guard overlap > 0 else { continue }
                places[index - 1] -= overlap / 2
                places[index] += overlap / 2
            }
            if let first = places.first, first < plot.y { places[0] = plot.y }
            if let last = places.last, last > plot.maxY { places[places.count - 1] = plot.maxY }
        }
        var result = wanted
        for (place, index) in order.enumerated() { result[index] = places[place] }
        return result
    }

    private static func xScale(of chart: LineChart) -> AxisScale? {
        let values = chart.series.flatMap { series in
            series.points.map(\.x) + series.rawPoints.map(\.x) + series.band.map(\.x)
        }
        let padding = chart.series.contains { $0.showsMarkers || !$0.showsLine } ? 0.025 : 0
        return AxisScale(fitting: values, axis: chart.xAxis, padding: padding)
    }

    private static func yScale(of chart: LineChart, xScale: AxisScale) -> AxisScale? {
        func isShown(_ x: Double) -> Bool {
            xScale.fraction(x).map { $0 >= -1e-9 && $0 <= 1 + 1e-9 } ?? false
        }
        var values: [Double] = []
        for series in chart.series {
            values += (series.points + series.rawPoints).filter { isShown($0.x) }.map(\.y)
            values += series.band.filter { isShown($0.x) }.flatMap { [$0.low, $0.high] }
        }
        guard values.contains(where: { AxisScale.isUsable($0, chart.yAxis.scale) }) else { return nil }
        values += chart.referenceLines.map(\.y)
        return AxisScale(fitting: values, axis: chart.yAxis, padding: 0.05)
    }

    private static func legendItems(of chart: LineChart) -> [PlotHeader.Item] {
        let isLone = chart.series.count { !$0.name.isEmpty } < 2
        if chart.legend == .none || (chart.legend == .automatic && isLone) { return [] }
        return chart.series.enumerated().map { index, series in
            let dash = series.isDashed ? dash : []
            return PlotHeader.Item(
                name: series.name, color: color(of: chart, index),
                symbol: series.showsLine
                    ? .line(dash: dash, hasMarker: series.showsMarkers, opacity: 1) : .marker)
        }
    }

    private static func endLabels(of chart: LineChart, xScale: AxisScale?, yScale: AxisScale?) -> [EndLabel] {
        guard let xScale, let yScale else { return [] }
        var labels: [EndLabel] = []
        for (index, series) in chart.series.enumerated() where !series.name.isEmpty {
            let end = series.points.last { point in
                (xScale.fraction(point.x) ?? 2) <= 1 + 1e-9 && yScale.fraction(point.y) != nil
            }
            guard let end, let fraction = yScale.fraction(end.y), let place = xScale.fraction(end.x)
            else { continue }
            // A name far from the end of its line would mislead.
            if chart.legend == .automatic && place < 0.9 { return [] }
            labels.append(
                EndLabel(text: series.name, color: color(of: chart, index).readable, fraction: fraction))
        }
        return chart.legend == .automatic && labels.count < 2 ? [] : labels
    }

    /// Returns true if the labels leave enough space for the data and stay close to the ends of their lines.
    private static func fit(_ labels: [EndLabel], width: Double, height: Double, size: ChartSize) -> Bool {
        guard width <= size.width * 0.24, Double(labels.count) * endLabelSpacing <= height else {
            return false
        }
        let plot = ChartRect(x: 0, y: 0, width: 1, height: height)
        let wanted = labels.map { height - $0.fraction * height }
        return zip(wanted, spread(wanted, in: plot)).allSatisfy { abs($0 - $1) <= 12 }
    }

    private static func width(of label: EndLabel) -> Double {
        StrokeFont.width(of: label.text, size: PlotFrame.titleSize)
    }
}
