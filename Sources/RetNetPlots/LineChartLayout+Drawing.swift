extension LineChartLayout {
    func drawing() -> Drawing {
        var drawing = Drawing(size: frame.size)
        frame.drawHeader(into: &drawing)
        frame.drawXTitle(chart.xAxis.title, into: &drawing)
        guard xScale != nil else {
            frame.drawNoData(into: &drawing)
            return drawing
        }
        drawVerticalGrid(into: &drawing)
        frame.drawHorizontalGrid(into: &drawing)
        frame.drawBaseline(into: &drawing)
        var placer = LabelPlacer(area: frame.plot)
        // The width of a line may extend past the edge.
        let clip = frame.plot.grown(1)
        drawing.clipped(to: clip) { drawing in
            drawBands(into: &drawing)
            drawRawLines(into: &drawing)
            drawReferenceLines(into: &drawing)
        }
        for (index, series) in chart.series.enumerated() {
            let points = series.points.compactMap(place)
            drawing.clipped(to: clip) { drawLine(of: index, points, into: &$0, obstacles: &placer) }
            drawMarkers(of: index, points, into: &drawing, obstacles: &placer)
        }
        drawEndLabels(into: &drawing)
        drawReferenceLabels(into: &drawing, placer: &placer)
        drawAnnotations(into: &drawing, placer: &placer)
        return drawing
    }

    private func place(_ point: ChartPoint) -> ChartPoint? {
        guard let x = xScale?.fraction(point.x), let y = frame.y(point.y) else { return nil }
        return ChartPoint(frame.plot.x + x * frame.plot.width, y)
    }

    /// Returns the visible pieces of a line, with no more points than can be distinguished.
    private func pieces(of points: [ChartPoint]) -> [[ChartPoint]] {
        LineClipper.clip(LineReducer.reduce(points), to: frame.plot.grown(60))
    }

    private func drawVerticalGrid(into drawing: inout Drawing) {
        let plot = frame.plot
        func line(_ value: Double, _ color: ChartColor) -> Double? {
            guard let fraction = xScale?.fraction(value) else { return nil }
            let x = plot.x + fraction * plot.width
            drawing.line(
                [ChartPoint(x, plot.y), ChartPoint(x, plot.maxY)], color: color, width: 1, snaps: true)
            return x
        }
        for value in xTicks.minor { _ = line(value, .faintGrid) }
        for tick in xTicks.ticks {
            guard let x = line(tick.value, .grid) else { continue }
            drawing.line(
                [ChartPoint(x, plot.maxY), ChartPoint(x, plot.maxY + 4)], color: .axis, width: 1,
                snaps: true)
            let half = PlotFrame.width(of: tick.label) / 2
            let center = min(x, frame.size.width - 4 - half)
            drawing.text(
                TextElement(
                    text: tick.label, position: ChartPoint(center, plot.maxY + 17),
                    size: PlotFrame.labelSize, color: .mutedText, anchor: .middle))
        }
    }

    private func drawBands(into drawing: inout Drawing) {
        for (index, series) in chart.series.enumerated() {
            var (upper, lower) = ([ChartPoint](), [ChartPoint]())
            for point in series.band {
                guard let low = place(ChartPoint(point.x, point.low)),
                    let high = place(ChartPoint(point.x, point.high))
                else { continue }
                upper.append(high)
                lower.append(low)
            }
            let color = Self.color(of: chart, index)
            drawing.polygon(upper + lower.reversed(), color: color, opacity: 0.16)
        }
    }

    private func drawRawLines(into drawing: inout Drawing) {
        for (index, series) in chart.series.enumerated() {
            let color = Self.color(of: chart, index)
            let lines = pieces(of: series.rawPoints.compactMap(place))
            drawing.lines(lines, color: color, width: 1, opacity: 0.28)
        }
    }

    private func drawReferenceLines(into drawing: inout Drawing) {
        let plot = frame.plot
        for line in chart.referenceLines {
            guard let y = frame.y(line.y) else { continue }
            drawing.line(
                [ChartPoint(plot.x, y), ChartPoint(plot.maxX, y)], color: .reference, width: 1,
                dash: [4, 3], snaps: true)
        }
    }

    private func drawLine(
        of index: Int, _ points: [ChartPoint], into drawing: inout Drawing, obstacles: inout LabelPlacer
    ) {
        let series = chart.series[index]
        guard series.showsLine else { return }
        let lines = pieces(of: points)
        for line in lines { obstacles.avoid(line: line) }
        drawing.lines(
            lines, color: Self.color(of: chart, index), width: lineWidth(of: series),
            dash: series.isDashed ? Self.dash : [])
    }

    /// Draws markers without clipping, so that those at the edge of the plot stay whole.
    private func drawMarkers(
        of index: Int, _ points: [ChartPoint], into drawing: inout Drawing, obstacles: inout LabelPlacer
    ) {
        let series = chart.series[index]
        guard series.showsMarkers || !series.showsLine || points.count == 1 else { return }
        let radius = max(3, lineWidth(of: series) + 1.5)
        for point in points where frame.plot.grown(0.5).contains(point) {
            drawing.add(.marker(center: point, radius: radius, Self.color(of: chart, index)))
            obstacles.avoid(mark: ChartRect(x: point.x, y: point.y, width: 0, height: 0).grown(radius))
        }
    }

    private func lineWidth(of series: LineChart.Series) -> Double {
        series.lineWidth.isFinite ? min(max(series.lineWidth, 0.25), 20) : 2
    }

    private func drawEndLabels(into drawing: inout Drawing) {
        let plot = frame.plot
        for (label, y) in zip(endLabels, endLabelHeights()) {
            let lineY = min(max(plot.maxY - label.fraction * plot.height, plot.y), plot.maxY)
            if abs(lineY - y) > 3 {
                drawing.line(
                    [ChartPoint(plot.maxX + 2, lineY), ChartPoint(plot.maxX + 8, y)], color: label.color,
                    width: 0.8)
            }
            let baseline = y + PlotFrame.titleSize * TextElement.middleOfCapitals
            drawing.text(
                TextElement(
                    text: label.text, position: ChartPoint(plot.maxX + Self.endLabelGap, baseline),
                    size: PlotFrame.titleSize, color: label.color))
        }
    }

    private func drawReferenceLabels(into drawing: inout Drawing, placer: inout LabelPlacer) {
        let plot = frame.plot
        for line in chart.referenceLines where !line.label.isEmpty {
            guard let y = frame.y(line.y), y >= plot.y, y <= plot.maxY else { continue }
            let size = PlotFrame.labelSize
            let text = TextElement.shorten(line.label, width: plot.width - 12, size: size)
            let width = StrokeFont.width(of: text, size: size)
            let lefts = [plot.maxX - 6 - width, plot.x + 6, plot.midX - width / 2]
            let boxes = [y - size - 6, y + 4, y - size - 16, y - size - 26].flatMap { top in
                lefts.map { ChartRect(x: $0, y: top, width: width, height: size + 2) }
            }
            guard let box = placer.place(boxes) else { continue }
            draw(text, in: box, color: .reference, into: &drawing)
        }
    }

    private func drawAnnotations(into drawing: inout Drawing, placer: inout LabelPlacer) {
        for annotation in chart.annotations {
            guard let point = place(annotation.point), frame.plot.contains(point) else { continue }
            let size = PlotFrame.labelSize
            let text = TextElement.shorten(annotation.text, width: frame.plot.width - 12, size: size)
            let width = StrokeFont.width(of: text, size: size)
            let isMarked = chart.series.contains {
                $0.showsMarkers && $0.points.contains(annotation.point)
            }
            // A marked point of a series keeps the color of the series.
            if !isMarked { drawing.add(.marker(center: point, radius: 3.5, .title)) }
            placer.avoid(mark: ChartRect(x: point.x, y: point.y, width: 0, height: 0).grown(4))
            var boxes: [ChartRect] = []
            for distance in [8.0, 18, 30, 46] {
                for top in [point.y - distance - size, point.y + distance] {
                    for left in [point.x + 4, point.x - width - 4, point.x - width / 2] {
                        boxes.append(ChartRect(x: left, y: top, width: width, height: size + 2))
                    }
                }
                let middle = point.y - size / 2 - 1
                boxes.append(
                    ChartRect(x: point.x + distance, y: middle, width: width, height: size + 2))
                boxes.append(
                    ChartRect(x: point.x - distance - width, y: middle, width: width, height: size + 2))
            }
            guard let box = placer.place(boxes) else { continue }
            let foot = ChartPoint(
                min(max(point.x, box.x), box.maxX), point.y < box.midY ? box.y - 1 : box.maxY + 1)
            if (foot - point).length > 14 {
                drawing.line([point, foot], color: .axis, width: 0.8)
            }
            draw(text, in: box, color: .title, into: &drawing)
        }
    }

    private func draw(_ text: String, in box: ChartRect, color: ChartColor, into drawing: inout Drawing) {
        drawing.text(
            TextElement(
                text: text, position: ChartPoint(box.x, box.maxY - 3), size: PlotFrame.labelSize,
                color: color, hasHalo: true))
    }
}
