import Foundation

/// Converts lines with a width into polygons that together cover them.
///
/// All polygons have the same orientation, so the non-zero rule fills their union.
enum StrokeGeometry {
    /// Returns the outline of a polyline with butt ends and round joins.
    static func outline(_ points: [ChartPoint], width: Double) -> [[ChartPoint]] {
        let half = width / 2
        var line: [ChartPoint] = []
        for point in points where line.last.map({ ($0 - point).length > 1e-6 }) ?? true {
            line.append(point)
        }
        guard line.count > 1 else { return [] }
        var shapes: [[ChartPoint]] = []
        shapes.reserveCapacity(2 * line.count)
        var previous: ChartPoint?
        for index in 1..<line.count {
            let (start, end) = (line[index - 1], line[index])
            let normal = normal(from: start, to: end) * half
            shapes.append([start + normal, end + normal, end - normal, start - normal])
            if let previous { join(at: start, previous, normal, into: &shapes) }
            previous = normal
        }
        return shapes.map(oriented)
    }

    /// Returns a regular polygon that approximates a disc.
    static func disc(center: ChartPoint, radius: Double) -> [ChartPoint] {
        let count = min(max(Int(radius.rounded(.up)) * 3, 16), 64)
        return (0..<count).map { index in
            let angle = 2 * Double.pi * Double(index) / Double(count)
            return center + ChartPoint(cos(angle), sin(angle)) * radius
        }
    }

    /// Splits a polyline into the strokes of a dash pattern; an empty pattern leaves it whole.
    static func dashed(_ points: [ChartPoint], pattern: [Double]) -> [[ChartPoint]] {
        guard !pattern.isEmpty, pattern.allSatisfy({ $0 > 0.1 }), var last = points.first else {
            return [points]
        }
        var dashes: [[ChartPoint]] = []
        var current = [last]
        var index = 0
        var left = pattern[0]
        for point in points.dropFirst() {
            var length = (point - last).length
            while length > left {
                last = last + (point - last) * (left / length)
                length -= left
                if index % 2 == 0 {
                    dashes.append(current + [last])
                    current = []
                } else {
                    current = [last]
                }
                index += 1
                left = pattern[index % pattern.count]
            }
            left -= length
            last = point
            if index % 2 == 0 { current.append(point) }
        }
        if index % 2 == 0 { dashes.append(current) }
        return dashes
    }

    /// Returns the polygon in counterclockwise order, in coordinates with `y` upwards.
    static func oriented(_ polygon: [ChartPoint]) -> [ChartPoint] {
        guard var last = polygon.last else { return polygon }
        var area = 0.0
        for point in polygon {
            area += last.x * point.y - point.x * last.y
            last = point
        }
        return area < 0 ? polygon.reversed() : polygon
    }

    private static func normal(from start: ChartPoint, to end: ChartPoint) -> ChartPoint {
        let along = end - start
        let length = along.length
        return ChartPoint(-along.y / length, along.x / length)
    }

    /// Fills the gap on the outer side of a bend with a fan.
    private static func join(
        at center: ChartPoint, _ before: ChartPoint, _ after: ChartPoint, into shapes: inout [[ChartPoint]]
    ) {
        let cross = before.x * after.y - before.y * after.x
        let dot = before.x * after.x + before.y * after.y
        let turn = atan2(cross, dot)
        guard abs(turn) > 0.01 else { return }
        // The gap opens on the side away from the bend.
        let side = turn > 0 ? -1.0 : 1.0
        let steps = max(1, Int((abs(turn) / 0.4).rounded(.up)))
        var fan = [center]
        for step in 0...steps {
            let angle = turn * Double(step) / Double(steps)
            let (c, s) = (cos(angle), sin(angle))
            let arm = ChartPoint(before.x * c - before.y * s, before.x * s + before.y * c)
            fan.append(center + arm * side)
        }
        shapes.append(fan)
    }
}
