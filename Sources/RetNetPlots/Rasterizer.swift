/// Fills polygons with anti-aliasing into rows of red, green and blue bytes.
///
/// Every pixel row is cut into sub-rows. Along a sub-row the covered stretches are found exactly, by the
/// non-zero winding rule, and their fractions of each pixel are summed.
struct Rasterizer {
    let width: Int
    let height: Int
    private(set) var pixels: [UInt8]

    private static let subRows = 16

    /// Creates a white picture.
    init(width: Int, height: Int) {
        self.width = width
        self.height = height
        pixels = [UInt8](repeating: 255, count: width * height * 3)
    }

    /// Fills the union of `polygons`, in pixels with `y` downwards, inside `clip`.
    mutating func fill(
        _ polygons: [[ChartPoint]], color: ChartColor, opacity: Double = 1, clip: ChartRect? = nil
    ) {
        let bounds = visible(clip)
        guard bounds.maxX > bounds.x, bounds.maxY > bounds.y else { return }
        var edges = edges(of: polygons, bounds: bounds)
        guard !edges.isEmpty else { return }
        edges.sort { $0.firstRow < $1.firstRow }
        var coverage = RowCoverage(width: width)
        var active: [Edge] = []
        var next = 0
        var row = edges[0].firstRow
        while next < edges.count || !active.isEmpty {
            if active.isEmpty { row = max(row, edges[next].firstRow) }
            let pixelRow = row / Self.subRows
            coverage.reset()
            while row < (pixelRow + 1) * Self.subRows {
                active.removeAll { $0.endRow <= row }
                while next < edges.count, edges[next].firstRow <= row {
                    active.append(edges[next])
                    next += 1
                }
                if !active.isEmpty {
                    Self.sortByPlace(&active)
                    Self.sweep(&active, bounds: bounds, into: &coverage)
                } else if next == edges.count {
                    break
                }
                row += 1
            }
            blend(coverage, row: pixelRow, color: color, opacity: opacity)
            row = (pixelRow + 1) * Self.subRows
        }
    }

    private struct Edge {
        var x: Double
        let slope: Double
        let firstRow: Int
        let endRow: Int
        let winding: Int
    }

    private func visible(_ clip: ChartRect?) -> ChartRect {
        let all = ChartRect(x: 0, y: 0, width: Double(width), height: Double(height))
        guard let clip else { return all }
        let (left, top) = (max(clip.x, 0), max(clip.y, 0))
        return ChartRect(
            x: left, y: top, width: min(clip.maxX, all.maxX) - left, height: min(clip.maxY, all.maxY) - top)
    }

    private func edges(of polygons: [[ChartPoint]], bounds: ChartRect) -> [Edge] {
        let subRows = Double(Self.subRows)
        var edges: [Edge] = []
        for polygon in polygons {
            guard var last = polygon.last else { continue }
            for point in polygon {
                defer { last = point }
                let (upper, lower) = last.y < point.y ? (last, point) : (point, last)
                guard upper.y < lower.y, upper.y < bounds.maxY, lower.y > bounds.y else { continue }
                guard upper.x.isFinite, lower.x.isFinite else { continue }
                // The middle of sub-row k lies at (k + 0.5) / subRows.
                let first = (max(upper.y, bounds.y) * subRows - 0.5).rounded(.up)
                let end = (min(lower.y, bounds.maxY) * subRows - 0.5).rounded(.up)
                guard first < end else { continue }
                let slope = (lower.x - upper.x) / (lower.y - upper.y)
                let x = upper.x + ((first + 0.5) / subRows - upper.y) * slope
                edges.append(
                    Edge(
                        x: x, slope: slope / subRows, firstRow: Int(first), endRow: Int(end),
                        winding: last.y < point.y ? 1 : -1))
            }
        }
        return edges
    }

    /// Insertion sort: from one sub-row to the next the order hardly changes.
    private static func sortByPlace(_ edges: inout [Edge]) {
        edges.withUnsafeMutableBufferPointer { edges in
            for index in edges.indices.dropFirst() {
                let edge = edges[index]
                var place = index
                while place > 0, edges[place - 1].x > edge.x {
                    edges[place] = edges[place - 1]
                    place -= 1
                }
                edges[place] = edge
            }
        }
    }

    /// Adds the covered stretches of one sub-row and moves the edges on to the next.
    private static func sweep(_ edges: inout [Edge], bounds: ChartRect, into coverage: inout RowCoverage) {
        edges.withUnsafeMutableBufferPointer { edges in
            var winding = 0
            var start = 0.0
            for index in edges.indices {
                let x = min(max(edges[index].x, bounds.x), bounds.maxX)
                if winding == 0 { start = x }
                winding += edges[index].winding
                if winding == 0 { coverage.add(from: start, to: x) }
                edges[index].x += edges[index].slope
            }
        }
    }

    private mutating func blend(
        _ coverage: borrowing RowCoverage, row: Int, color: ChartColor, opacity: Double
    ) {
        guard row >= 0, row < height, let range = coverage.range else { return }
        let factor = Float(opacity) / Float(Self.subRows)
        let (red, green, blue) = (Float(color.red), Float(color.green), Float(color.blue))
        let base = row * width * 3
        var sum: Float = 0
        pixels.withUnsafeMutableBufferPointer { pixels in
            coverage.withCells { partial, steps in
                for column in range {
                    sum += steps[column]
                    let alpha = min(max((sum + partial[column]) * factor, 0), 1)
                    guard alpha > 0.001 else { continue }
                    let index = base + column * 3
                    func mix(_ offset: Int, _ part: Float) {
                        let old = Float(pixels[index + offset])
                        pixels[index + offset] = UInt8(min(max(old + (part - old) * alpha + 0.5, 0), 255))
                    }
                    mix(0, red)
                    mix(1, green)
                    mix(2, blue)
                }
            }
        }
    }
}

/// The sum of covered stretches along one row of pixels.
struct RowCoverage {
    /// Coverage of single pixels at the ends of stretches.
    private var partial: [Float]
    /// Changes of full coverage, to be summed up from the left.
    private var steps: [Float]
    private var first: Int
    private var last: Int
    private let width: Int

    init(width: Int) {
        self.width = width
        partial = [Float](repeating: 0, count: width + 2)
        steps = [Float](repeating: 0, count: width + 2)
        first = Int.max
        last = -1
    }

    /// First and last pixel changed since the last reset.
    var range: Range<Int>? {
        first < min(last + 1, width) ? first..<min(last + 1, width) : nil
    }

    /// Adds a stretch with both ends between 0 and the width.
    mutating func add(from start: Double, to end: Double) {
        guard start >= 0, end > start, end <= Double(width) else { return }
        let (left, right) = (Int(start), Int(end))
        if left == right {
            partial[left] += Float(end - start)
        } else {
            partial[left] += Float(Double(left + 1) - start)
            partial[right] += Float(end - Double(right))
            steps[left + 1] += 1
            steps[right] -= 1
        }
        first = min(first, left)
        last = max(last, right)
    }

    /// Clears the changed pixels.
    mutating func reset() {
        guard first <= last else { return }
        for index in first...min(last + 1, width + 1) {
            partial[index] = 0
            steps[index] = 0
        }
        first = Int.max
        last = -1
    }

    func withCells(_ body: (UnsafeBufferPointer<Float>, UnsafeBufferPointer<Float>) -> Void) {
        partial.withUnsafeBufferPointer { partial in
            steps.withUnsafeBufferPointer { steps in body(partial, steps) }
        }
    }
}
