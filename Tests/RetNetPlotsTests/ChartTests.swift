import Foundation
import Testing

@testable import RetNetPlots

@Suite("Charts")
struct ChartTests {
    private let small = ChartSize(width: 320, height: 220)

    private func loss(points: Int = 50) -> LineChart {
        let raw = (0..<points).map { index -> ChartPoint in
            let wave = Double(index % 7) * 0.05
            return ChartPoint(Double(index), 3 + 5 / Double(index + 1) + wave)
        }
        return LineChart(
            title: "Loss", xAxis: ChartAxis("Step"), yAxis: ChartAxis("Loss (nats)"),
            series: [
                .smoothed(name: "train", points: raw, smoothing: 0.9),
                LineChart.Series(
                    name: "valid", points: [ChartPoint(0, 8), ChartPoint(Double(points) - 1, 3.3)],
                    isDashed: true, showsMarkers: true),
            ],
            referenceLines: [.init(y: 4, label: "target")],
            annotations: [.init(at: ChartPoint(20, 4), "remark")], size: small)
    }

    @Test("SVG text is escaped and the document is well formed")
    func svg() throws {
        var chart = loss()
        chart.title = "a < b & \"c\" > d\u{1}"
        let svg = chart.svg()
        #expect(svg.contains("a &lt; b &amp; &quot;c&quot; &gt; d<"))
        #expect(svg.contains("viewBox=\"0 0 320 220\""))
        let opened = svg.matches(of: /<[a-zA-Z]/).count
        let closed = svg.matches(of: /<\//).count + svg.matches(of: /\/>/).count
        #expect(opened == closed)
        #expect(!svg.contains("nan") && !svg.contains("inf\""))
    }

    @Test("All texts are inside the picture and none overlap", arguments: [200.0, 320, 720, 1400])
    func texts(width: Double) {
        var charts: [any Chart] = []
        for legend in [LegendPlacement.automatic, .top, .lineEnds, .none] {
            var chart = loss()
            chart.legend = legend
            charts.append(chart)
            chart.yAxis.scale = .logarithmic
            chart.xAxis.range = 1...49
            chart.xAxis.scale = .binaryLogarithmic
            charts.append(chart)
        }
        for count in [2, 5, 12] {
            let names = (0..<count).map { "category-\($0) with name" }
            charts.append(
                BarChart(
                    title: "Bars", categories: names, categoryTitle: "Kind", valueAxis: ChartAxis("Value"),
                    series: (0..<3).map { series in
                        BarChart.Series(name: "s\(series)", values: names.indices.map { Double($0 + series) })
                    }))
        }
        for chart in charts {
            let size = ChartSize(width: width, height: 320)
            let drawing = chart.drawing(size: size, minimumInsets: ChartInsets())
            let picture = ChartRect(x: -0.5, y: 0, width: width + 1, height: 320)
            let boxes = texts(of: drawing.elements)
            for (index, text) in boxes.enumerated() {
                #expect(picture.contains(text.box), "\(text.element.text) at width \(width)")
                // Slanted names do not overlap although their upright boxes do.
                if text.element.rotation != 0 { continue }
                for other in boxes[..<index] where other.element.rotation == 0 {
                    #expect(
                        !text.box.intersects(other.box), "\(text.element.text) over \(other.element.text)")
                }
            }
        }
    }

    @Test("Points that cannot be shown are skipped and empty charts have a note")
    func oddData() throws {
        let odd = [ChartPoint(.nan, 1), ChartPoint(1, .infinity), ChartPoint(2, -1), ChartPoint(3, 0)]
        for scale in [ChartAxis.Scale.linear, .logarithmic, .binaryLogarithmic] {
            let axis = ChartAxis("y", scale: scale)
            for points in [odd, [], [ChartPoint(1, 1)], [ChartPoint(1e300, 1e300)]] {
                let chart = LineChart(
                    xAxis: axis, yAxis: axis, series: [.init(name: "a", points: points)], size: small)
                _ = try chart.png(scale: 1)
                let isEmpty = points.isEmpty || points[0].x > 1e200 || (points.count > 1 && scale != .linear)
                #expect(chart.svg().contains("no data") == isEmpty)
            }
        }
        let single = LineChart(series: [.init(name: "a", points: [ChartPoint(1, 1)])])
        #expect(single.svg().contains("<circle"))
        #expect(BarChart(categories: [], series: []).svg().contains("no data"))
        let bars = BarChart(
            categories: ["a"],
            series: [.init(name: "s", values: [nil, .nan, -2, 0, .infinity], errors: [1, .nan, .infinity])])
        _ = try bars.png(scale: 1)
    }

    @Test("The axis of bars includes zero, that of points need not")
    func marks() {
        var chart = BarChart(
            categories: ["a", "b"], series: [.init(name: "s", values: [101.25, 102.5], errors: [0.25, nil])])
        #expect(chart.svg().contains(">0</text>") && !chart.svg().contains("<circle"))
        chart.mark = .points
        let svg = chart.svg()
        #expect(svg.components(separatedBy: "<circle").count == 3)
        #expect(!svg.contains(">0</text>") && svg.contains(">101.0</text>"))
    }

    @Test("Lines far outside the given range are clipped")
    func clipping() {
        let rect = ChartRect(x: 0, y: 0, width: 10, height: 10)
        let line = [
            ChartPoint(-10, 5), ChartPoint(20, 5), ChartPoint(20, 50), ChartPoint(5, 50), ChartPoint(5, 5),
        ]
        let pieces = LineClipper.clip(line, to: rect)
        #expect(pieces == [[ChartPoint(0, 5), ChartPoint(10, 5)], [ChartPoint(5, 10), ChartPoint(5, 5)]])
        #expect(LineClipper.clip([ChartPoint(20, 0), ChartPoint(20, 9)], to: rect).isEmpty)
    }

    @Test("Long lines are reduced without losing their extremes")
    func reduction() {
        let line = (0..<50_000).map { ChartPoint(Double($0) / 500, $0 == 31_234 ? 99 : Double($0 % 3)) }
        let reduced = LineReducer.reduce(line)
        #expect(reduced.count <= 4 * 201)
        #expect(reduced.contains { $0.y == 99 })
        #expect(reduced.first == line.first && reduced.last == line.last)
    }

    @Test("Smoothing has no bias at its start and skips bad values")
    func smoothing() {
        let points = [4, .nan, 4, 4].enumerated().map { ChartPoint(Double($0), $1) }
        let series = LineChart.Series.smoothed(name: "a", points: points, smoothing: 0.9)
        #expect(series.points.count == 3)
        #expect(series.points.allSatisfy { abs($0.y - 4) < 1e-12 })
    }

    @Test("Grids align the plots of their charts")
    func grid() throws {
        let bars = BarChart(
            title: "Bars", categories: ["a", "b"], series: [.init(name: "x", values: [1e6, 2e6])], size: small
        )
        let grid = ChartGrid(title: "All", charts: [loss(), bars, loss()], columnCount: 2)
        #expect(grid.size.width == 640)
        #expect(grid.size.height > 440)
        let svg = grid.svg()
        #expect(svg.contains(">Bars<") && svg.contains(">All<"))
        _ = try ChartGrid(charts: [], columnCount: 0).png(scale: 1)
    }

    @Test("Files are written in the format of their extension")
    func files() throws {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent(
            "plots-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        func file(_ name: String) -> URL { folder.appendingPathComponent(name) }
        try loss().write(to: file("a.svg").path)
        #expect(try String(contentsOf: file("a.svg"), encoding: .utf8).hasPrefix("<svg"))
        try loss().write(to: file("a.PNG").path, scale: 1)
        let png = try Data(contentsOf: file("a.PNG"))
        #expect([UInt8](png[16..<24]) == [0, 0, 1, 64, 0, 0, 0, 220])
        #expect(throws: PlotError.unknownPictureFormat(path: file("a.gif").path)) {
            try loss().write(to: file("a.gif").path)
        }
    }

    private func texts(of elements: [DrawingElement]) -> [(element: TextElement, box: ChartRect)] {
        elements.flatMap { element -> [(element: TextElement, box: ChartRect)] in
            switch element {
            case .clip(_, let inner): return texts(of: inner)
            case .text(let element):
                let shift =
                    switch element.anchor {
                    case .start: 0.0
                    case .middle: -element.width / 2
                    case .end: -element.width
                    }
                let angle = element.rotation * .pi / 180
                let level = ChartRect(
                    x: shift, y: -element.size * 0.72, width: element.width, height: element.size * 0.72)
                let corners = level.corners.map { corner in
                    element.position
                        + ChartPoint(
                            corner.x * cos(angle) - corner.y * sin(angle),
                            corner.x * sin(angle) + corner.y * cos(angle))
                }
                let (xs, ys) = (corners.map(\.x).sorted(), corners.map(\.y).sorted())
                return [
                    (element, ChartRect(x: xs[0], y: ys[0], width: xs[3] - xs[0], height: ys[3] - ys[0]))
                ]
            default: return []
            }
        }
    }
}
