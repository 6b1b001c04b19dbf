import Foundation

/// Maps glyphs, in thousandths of the text size with `y` upwards, to pixels.
struct GlyphTransform {
    var origin: ChartPoint
    /// Pixels per point.
    var scale: Double
    var cosine: Double
    var sine: Double
    /// Start of the text relative to its position, in points along the text.
    var shift: Double

    func callAsFunction(_ point: ChartPoint, pen: Double, unit: Double) -> ChartPoint {
        let x = (shift + pen + point.x * unit) * scale
        let y = -point.y * unit * scale
        return ChartPoint(origin.x + x * cosine - y * sine, origin.y + x * sine + y * cosine)
    }
}

/// A sans-serif font of strokes with even width, made for this package.
///
/// Its advance widths are those of Helvetica, so that text has the same width in PNG and SVG.
enum StrokeFont {
    /// Width of strokes in thousandths of the text size.
    private static let regularStem = 80.0
    private static let boldStem = 116.0
    /// Factor on the advance widths of bold text.
    private static let boldSpread = 1.055

    private static let glyphs: [Unicode.Scalar: StrokeGlyph] = {
        var table: [Unicode.Scalar: StrokeGlyph] = [:]
        for (scalar, advance, path) in source {
            table[scalar] = StrokeGlyph(advance: advance, path: path)
        }
        return table
    }()

    /// Glyph for characters that the font lacks.
    private static let missing = StrokeGlyph(
        advance: 556, path: "M 90 0 L 90 720 M 466 0 L 466 720 M 90 680 L 466 680 M 90 40 L 466 40")

    /// Returns the glyph of a character, or `nil` if the font lacks it.
    static func glyph(for scalar: Unicode.Scalar) -> StrokeGlyph? {
        glyphs[scalar]
    }

    /// Returns the width of a line of text in points.
    static func width(of text: String, size: Double, isBold: Bool = false) -> Double {
        let units = text.unicodeScalars.reduce(0.0) { $0 + (glyphs[$1] ?? missing).advance }
        return units * size / 1000 * (isBold ? boldSpread : 1)
    }

    /// Returns the polygons of a line of text with a rim of `halo / 2` points.
    static func outlines(_ element: TextElement, transform: GlyphTransform, halo: Double = 0)
        -> [[ChartPoint]]
    {
        guard element.size > 0 else { return [] }
        let unit = element.size / 1000
        let spread = element.isBold ? boldSpread : 1
        let stem = element.isBold ? boldStem : regularStem
        var pen = 0.0
        var shapes: [[ChartPoint]] = []
        for scalar in element.text.unicodeScalars {
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

/// A letter made of strokes, in thousandths of the text size, with `y` upwards from the baseline.
///
/// The notation of its path, with numbers and letters separated by spaces:
/// - `M x y` begins a stroke, `L x y` continues it with a straight line, `C x y x y x y` with a cubic
///   Bezier curve, and `A rx ry from to` with an arc that begins at the current point; its angles are
///   in degrees, counterclockwise from the right.
/// - `O x y rx ry from to` is an arc around a given center, which `L`, `C` and `A` may continue.
/// - `D x y x y` is a straight stroke with horizontal ends.
/// - `R x y width height` is a filled rectangle from its lower left corner.
struct StrokeGlyph: Sendable {
    let advance: Double
    /// True if the whole path was parsed.
    let isComplete: Bool
    private let strokes: [[ChartPoint]]
    private let diagonals: [(start: ChartPoint, end: ChartPoint)]
    private let rectangles: [ChartRect]

    init(advance: Double, path: String) {
        var reader = PathReader(path)
        reader.read()
        self.advance = advance
        isComplete = reader.isAtEnd
        strokes = reader.strokes
        diagonals = reader.diagonals
        rectangles = reader.rectangles
    }

    /// Returns the polygons that cover the letter, with a rim of `halo / 2` around it.
    func outlines(stem: Double, halo: Double) -> [[ChartPoint]] {
        let width = stem + halo
        var shapes = strokes.flatMap { stroke in
            StrokeGeometry.outline(halo > 0 ? Self.lengthened(stroke, by: halo / 2) : stroke, width: width)
        }
        for (start, end) in diagonals {
            let along = end - start
            guard along.y != 0 else { continue }
            // Half the length of a horizontal cut through the slanted stroke.
            let cut = ChartPoint(width * along.length / abs(along.y) / 2, 0)
            let rim = along * (halo / 2 / abs(along.y))
            let (lower, upper) = (start - rim, end + rim)
            shapes.append([lower - cut, lower + cut, upper + cut, upper - cut])
        }
        // Dots and other rectangles grow with the weight of the strokes.
        let growth = (stem - 80) / 3 + halo / 2
        shapes += rectangles.map { $0.grown(growth).corners }
        return shapes
    }

    private static func lengthened(_ stroke: [ChartPoint], by length: Double) -> [ChartPoint] {
        guard stroke.count > 1 else { return stroke }
        var result = stroke
        let last = stroke.count - 1
        let (head, tail) = (stroke[0] - stroke[1], stroke[last] - stroke[last - 1])
        if head.length > 0 { result[0] = stroke[0] + head * (length / head.length) }
        if tail.length > 0 { result[last] = stroke[last] + tail * (length / tail.length) }
        return result
    }
}

/// Parses the notation of `StrokeGlyph`.
private struct PathReader {
    private(set) var strokes: [[ChartPoint]] = []
    private(set) var diagonals: [(start: ChartPoint, end: ChartPoint)] = []
    private(set) var rectangles: [ChartRect] = []
    private var words: ArraySlice<Substring>

    var isAtEnd: Bool { words.isEmpty }

    init(_ path: String) {
        words = path.split(separator: " ")[...]
    }

    /// Reads to the end or to the first error.
    mutating func read() {
        while let command = words.first {
            let counts: [Substring: Int] = ["M": 2, "L": 2, "C": 6, "A": 4, "O": 6, "D": 4, "R": 4]
            guard let count = counts[command] else { return }
            let numbers = words.dropFirst().prefix(count).compactMap { Double($0) }
            guard numbers.count == count else { return }
            words = words.dropFirst(count + 1)
            apply(command, numbers)
        }
    }

    private mutating func apply(_ command: Substring, _ n: [Double]) {
        switch command {
        case "M":
            strokes.append([ChartPoint(n[0], n[1])])
        case "L":
            extend([ChartPoint(n[0], n[1])])
        case "C":
            curve(ChartPoint(n[0], n[1]), ChartPoint(n[2], n[3]), ChartPoint(n[4], n[5]))
        case "A":
            guard let start = strokes.last?.last else { return }
            let angle = n[2] * .pi / 180
            let center = start - ChartPoint(n[0] * cos(angle), n[1] * sin(angle))
            extend(Array(Self.arc(center, n[0], n[1], n[2], n[3]).dropFirst()))
        case "O":
            strokes.append(Self.arc(ChartPoint(n[0], n[1]), n[2], n[3], n[4], n[5]))
        case "D":
            diagonals.append((ChartPoint(n[0], n[1]), ChartPoint(n[2], n[3])))
        default:
            rectangles.append(ChartRect(x: n[0], y: n[1], width: n[2], height: n[3]))
        }
    }

    private mutating func extend(_ points: [ChartPoint]) {
        guard !strokes.isEmpty else { return }
        strokes[strokes.count - 1] += points
    }

    private mutating func curve(_ first: ChartPoint, _ second: ChartPoint, _ end: ChartPoint) {
        guard let start = strokes.last?.last else { return }
        let count = 10
        extend(
            (1...count).map { index in
                let t = Double(index) / Double(count)
                let u = 1 - t
                let head = start * (u * u * u) + first * (3 * u * u * t)
                return head + second * (3 * u * t * t) + end * (t * t * t)
            })
    }

    private static func arc(
        _ center: ChartPoint, _ rx: Double, _ ry: Double, _ from: Double, _ to: Double
    ) -> [ChartPoint] {
        let count = max(2, Int((abs(to - from) / 10).rounded(.up)))
        return (0...count).map { index in
            let angle = (from + (to - from) * Double(index) / Double(count)) * .pi / 180
            return center + ChartPoint(rx * cos(angle), ry * sin(angle))
        }
    }
}
