import Foundation

/// A letter made of strokes, in thousandths of the text size with `y` upwards from the baseline.
///
/// The notation of its path, with numbers and letters separated by spaces:
/// - `M x y` begins a stroke, `L x y` continues it with a straight line, `C x y x y x y` with a cubic
///   Bezier curve, and `A rx ry from to` with an arc which begins at the present point; its angles are
///   in degrees, anticlockwise from the right.
/// - `O x y rx ry from to` is an arc round a given centre, which `L`, `C` and `A` may continue.
/// - `D x y x y` is a straight stroke whose ends are cut level.
/// - `R x y width height` is a filled rectangle from its lower left corner.
struct StrokeGlyph: Sendable {
    let advance: Double
    /// Whether the whole path was understood.
    let isComplete: Bool
    private let strokes: [[ChartPoint]]
    private let diagonals: [(start: ChartPoint, end: ChartPoint)]
    private let blocks: [ChartRect]

    init(advance: Double, path: String) {
        var reader = PathReader(path)
        reader.read()
        self.advance = advance
        isComplete = reader.isAtEnd
        strokes = reader.strokes
        diagonals = reader.diagonals
        blocks = reader.blocks
    }

    /// The polygons which cover the letter, with a rim of `halo / 2` around it.
    func outlines(stem: Double, halo: Double) -> [[ChartPoint]] {
        let width = stem + halo
        var shapes = strokes.flatMap { stroke in
            StrokeGeometry.outline(halo > 0 ? Self.lengthened(stroke, by: halo / 2) : stroke, width: width)
        }
        for (start, end) in diagonals {
            let along = end - start
            guard along.y != 0 else { continue }
            // The length of a level cut through the slanted stroke.
            let cut = ChartPoint(width * along.length / abs(along.y) / 2, 0)
            let rim = along * (halo / 2 / abs(along.y))
            let (lower, upper) = (start - rim, end + rim)
            shapes.append([lower - cut, lower + cut, upper + cut, upper - cut])
        }
        // Dots and other blocks grow with the weight of the strokes.
        let growth = (stem - 80) / 3 + halo / 2
        shapes += blocks.map { $0.grown(growth).corners }
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

/// Reads the notation of `StrokeGlyph`.
private struct PathReader {
    private(set) var strokes: [[ChartPoint]] = []
    private(set) var diagonals: [(start: ChartPoint, end: ChartPoint)] = []
    private(set) var blocks: [ChartRect] = []
    private var words: ArraySlice<Substring>

    var isAtEnd: Bool { words.isEmpty }

    init(_ path: String) {
        words = path.split(separator: " ")[...]
    }

    /// Reads until the end, or until something is not understood.
    mutating func read() {
        while let command = words.first {
            let counts: [Substring: Int] = ["M": 2, "L": 2, "C": 6, "A": 4, "O": 6, "D": 4, "R": 4]
            guard let count = counts[command] else { return }
            let numbers = words.dropFirst().prefix(count).compactMap { Double($0) }
            guard numbers.count == count else { return }
            words = words.dropFirst(count + 1)
            run(command, numbers)
        }
    }

    private mutating func run(_ command: Substring, _ n: [Double]) {
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
            blocks.append(ChartRect(x: n[0], y: n[1], width: n[2], height: n[3]))
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
