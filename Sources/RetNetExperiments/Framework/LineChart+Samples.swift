import RetNetPlots

extension LineChart.Series {
    /// A line of means with a band of one standard deviation to both sides.
    static func means(name: String, _ points: [(x: Double, y: Sample)]) -> LineChart.Series {
        LineChart.Series(
            name: name, points: points.compactMap { x, y in y.mean.map { ChartPoint(x, $0) } },
            band: points.compactMap { x, y in
                guard let mean = y.mean, let spread = y.standardDeviation else { return nil }
                return LineChart.BandPoint(x: x, low: mean - spread, high: mean + spread)
            }, showsMarkers: true)
    }
}
