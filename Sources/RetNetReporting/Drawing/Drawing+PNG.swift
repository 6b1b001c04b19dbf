import Foundation

extension Drawing {
    /// The largest picture made, in pixels.
    private static let maximumPixelCount = 64_000_000.0

    /// The picture as a PNG file with `scale` pixels per point.
    ///
    /// Throws `ReportingError.pictureTooLarge` above 64 million pixels or for a scale that is no positive
    /// number.
    public func png(scale: Double = 2) throws -> Data {
        let raster = try rasterized(scale: scale)
        return PNGEncoder.encode(width: raster.width, height: raster.height, rgb: raster.pixels)
    }

    func rasterized(scale: Double) throws -> Rasterizer {
        let width = (size.width * scale).rounded()
        let height = (size.height * scale).rounded()
        guard scale.isFinite, scale > 0, width >= 1, height >= 1, width * height <= Self.maximumPixelCount
        else { throw ReportingError.pictureTooLarge(width: width, height: height) }
        var painter = Painter(
            raster: Rasterizer(width: Int(width), height: Int(height)), scale: scale)
        for element in elements { painter.paint(element, clip: nil) }
        return painter.raster
    }
}

/// Turns the shapes of a picture into filled polygons of pixels.
private struct Painter {
    var raster: Rasterizer
    let scale: Double

    mutating func paint(_ element: DrawingElement, clip: ChartRect?) {
        switch element {
        case .lines(let lines, let stroke):
            paint(lines, stroke, clip: clip)
        case .polygon(let points, let color, let opacity):
            let scaled = points.map { $0 * scale }
            raster.fill([scaled], color: color, opacity: opacity, clip: clip)
        case .marker(let center, let radius, let color):
            let disc = StrokeGeometry.disc(center: center * scale, radius: (radius + 0.5) * scale)
            raster.fill([disc], color: .white, clip: clip)
            let inner = StrokeGeometry.disc(center: center * scale, radius: (radius - 0.5) * scale)
            raster.fill([inner], color: color, clip: clip)
        case .text(let run):
            paint(run, clip: clip)
        case .clip(let rect, let elements):
            let inner = ChartRect(
                x: rect.x * scale, y: rect.y * scale, width: rect.width * scale,
                height: rect.height * scale)
            for element in elements { paint(element, clip: inner) }
        }
    }

    private mutating func paint(_ lines: [[ChartPoint]], _ stroke: DrawingStroke, clip: ChartRect?) {
        let width = stroke.snaps ? max((stroke.width * scale).rounded(), 1) : stroke.width * scale
        let pattern = stroke.dash.map { $0 * scale }
        let shapes = lines.flatMap { line in
            let scaled = line.map { $0 * scale }
            let placed = stroke.snaps ? Self.snapped(scaled, width: width) : scaled
            return StrokeGeometry.dashed(placed, pattern: pattern).flatMap {
                StrokeGeometry.outline($0, width: width)
            }
        }
        raster.fill(shapes, color: stroke.color, opacity: stroke.opacity, clip: clip)
    }

    private mutating func paint(_ run: TextRun, clip: ChartRect?) {
        let shift =
            switch run.anchor {
            case .start: 0.0
            case .middle: -run.width / 2
            case .end: -run.width
            }
        let angle = run.rotation * .pi / 180
        var origin = run.position * scale
        // Baselines on whole pixels keep the feet of level text sharp.
        if run.rotation == 0 { origin.y = origin.y.rounded() }
        let transform = GlyphTransform(
            origin: origin, scale: scale, cosine: cos(angle), sine: sin(angle), shift: shift)
        if run.hasHalo {
            raster.fill(
                StrokeFont.outlines(run, transform: transform, halo: 3), color: .white, clip: clip)
        }
        raster.fill(StrokeFont.outlines(run, transform: transform), color: run.color, clip: clip)
    }

    /// Moves level and upright lines so that their edges fall between pixels.
    private static func snapped(_ points: [ChartPoint], width: Double) -> [ChartPoint] {
        guard let first = points.first else { return points }
        func snap(_ value: Double) -> Double { (value - width / 2).rounded() + width / 2 }
        if points.allSatisfy({ $0.y == first.y }) {
            return points.map { ChartPoint($0.x.rounded(), snap($0.y)) }
        }
        if points.allSatisfy({ $0.x == first.x }) {
            return points.map { ChartPoint(snap($0.x), $0.y.rounded()) }
        }
        return points
    }
}
