import Foundation

/// Places glyphs, in thousandths of the text size with `y` upwards, on a picture of pixels.
struct GlyphTransform {
    var origin: ChartPoint
    /// Pixels per point.
    var scale: Double
    var cosine: Double
    var sine: Double
    /// How far the text begins to the right of its position, in points along the text.
    var shift: Double

    func callAsFunction(_ point: ChartPoint, pen: Double, unit: Double) -> ChartPoint {
        let x = (shift + pen + point.x * unit) * scale
        let y = -point.y * unit * scale
        return ChartPoint(origin.x + x * cosine - y * sine, origin.y + x * sine + y * cosine)
    }
}

/// A sans-serif font of strokes with even width, drawn for this package.
///
/// Its advance widths are those of Helvetica, so that text takes the same room in PNG and SVG.
enum StrokeFont {
    /// The widths of strokes in thousandths of the text size.
    private static let regularStem = 80.0
    private static let boldStem = 116.0
    /// Bold letters stand a little wider apart.
    private static let boldSpread = 1.055

    private static let glyphs: [Unicode.Scalar: StrokeGlyph] = {
        var table: [Unicode.Scalar: StrokeGlyph] = [:]
        for (scalar, advance, path) in source {
            table[scalar] = StrokeGlyph(advance: advance, path: path)
        }
        return table
    }()

    /// Shown for characters which the font lacks.
    private static let missing = StrokeGlyph(
        advance: 556, path: "M 90 0 L 90 720 M 466 0 L 466 720 M 90 680 L 466 680 M 90 40 L 466 40")

    /// The glyph of a character, or `nil` when the font lacks it.
    static func glyph(for scalar: Unicode.Scalar) -> StrokeGlyph? {
        glyphs[scalar]
    }

    /// The length of a line of text in points.
    static func width(of text: String, size: Double, isBold: Bool = false) -> Double {
        let units = text.unicodeScalars.reduce(0.0) { $0 + (glyphs[$1] ?? missing).advance }
        return units * size / 1000 * (isBold ? boldSpread : 1)
    }

    /// The polygons of a line of text, grown by a rim of half of `halo` points.
    static func outlines(_ run: TextRun, transform: GlyphTransform, halo: Double = 0) -> [[ChartPoint]] {
        guard run.size > 0 else { return [] }
        let unit = run.size / 1000
        let spread = run.isBold ? boldSpread : 1
        let stem = run.isBold ? boldStem : regularStem
        var pen = 0.0
        var shapes: [[ChartPoint]] = []
        for scalar in run.text.unicodeScalars {
            let glyph = glyphs[scalar] ?? missing
            let side = glyph.advance * (spread - 1) / 2 * unit
            for shape in glyph.outlines(stem: stem, halo: halo / unit) {
                let placed = shape.map { transform($0, pen: pen + side, unit: unit) }
                shapes.append(StrokeGeometry.oriented(placed))
            }
            pen += glyph.advance * spread * unit
        }
        return shapes
    }
}
