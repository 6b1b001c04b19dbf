import Foundation
import RetNetStorage

/// A laid-out picture, ready to be written as SVG or PNG; both show the same shapes at the same places.
public struct Drawing: Sendable {
    /// The size of the whole picture.
    public let size: ChartSize

    private(set) var elements: [DrawingElement] = []

    /// Makes an empty picture with a white background.
    public init(size: ChartSize) {
        self.size = size
    }

    /// Places another picture with its top left corner at the given point.
    public mutating func add(_ other: Drawing, x: Double, y: Double) {
        let offset = ChartPoint(x, y)
        elements += other.elements.map { $0.moved(by: offset) }
    }

    /// Writes the picture to `path`; the ending `.svg` or `.png` chooses the format.
    ///
    /// `scale` is the number of pixels per point of a PNG. Throws `ReportingError` or the error of
    /// writing the file.
    public func write(to path: String, scale: Double = 2) throws {
        switch URL(fileURLWithPath: path).pathExtension.lowercased() {
        case "svg": try AtomicFile.write(Data(svg().utf8), to: path)
        case "png": try AtomicFile.write(try png(scale: scale), to: path)
        default: throw ReportingError.unknownPictureFormat(path: path)
        }
    }

    mutating func add(_ element: DrawingElement) {
        elements.append(element)
    }

    mutating func line(
        _ points: [ChartPoint], color: ChartColor, width: Double, opacity: Double = 1,
        dash: [Double] = [], snaps: Bool = false
    ) {
        lines([points], color: color, width: width, opacity: opacity, dash: dash, snaps: snaps)
    }

    mutating func lines(
        _ lines: [[ChartPoint]], color: ChartColor, width: Double, opacity: Double = 1,
        dash: [Double] = [], snaps: Bool = false
    ) {
        let lines = lines.filter { $0.count > 1 }
        guard !lines.isEmpty else { return }
        let stroke = DrawingStroke(
            color: color, width: width, opacity: opacity, dash: dash, snaps: snaps)
        elements.append(.lines(lines, stroke))
    }

    mutating func polygon(_ points: [ChartPoint], color: ChartColor, opacity: Double = 1) {
        guard points.count > 2 else { return }
        elements.append(.polygon(points, color, opacity: opacity))
    }

    mutating func text(_ run: TextRun) {
        guard !run.text.isEmpty else { return }
        elements.append(.text(run))
    }

    /// Adds what `build` draws, cut off at the edges of `rect`.
    mutating func clipped(to rect: ChartRect, _ build: (inout Drawing) -> Void) {
        var inner = Drawing(size: size)
        build(&inner)
        if !inner.elements.isEmpty { elements.append(.clip(rect, inner.elements)) }
    }
}
