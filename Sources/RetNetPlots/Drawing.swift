import Foundation
import RetNetReporting
import RetNetStorage

/// A laid-out picture that can be written as SVG or PNG with the same shapes at the same positions.
public struct Drawing: Sendable {
    /// Size of the picture in points.
    public let size: ChartSize

    private(set) var elements: [DrawingElement] = []

    /// Creates an empty picture with a white background.
    public init(size: ChartSize) {
        self.size = size
    }

    /// Adds another picture with its top left corner at a given point.
    public mutating func add(_ other: Drawing, x: Double, y: Double) {
        let offset = ChartPoint(x, y)
        elements += other.elements.map { $0.moved(by: offset) }
    }

    /// Writes the picture to a file in the format of its extension, `.svg` or `.png`.
    ///
    /// `scale` is the number of pixels per point of a PNG. Throws `PlotError` or `StorageError`.
    public func write(to path: String, scale: Double = 2) throws {
        switch URL(fileURLWithPath: path).pathExtension.lowercased() {
        case "svg": try AtomicFile.write(Data(svg().utf8), to: path)
        case "png": try AtomicFile.write(try png(scale: scale), to: path)
        default: throw PlotError.unknownPictureFormat(path: path)
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

    mutating func text(_ element: TextElement) {
        guard !element.text.isEmpty else { return }
        elements.append(.text(element))
    }

    /// Adds the shapes that `build` draws, clipped to `rect`.
    mutating func clipped(to rect: ChartRect, _ build: (inout Drawing) -> Void) {
        var inner = Drawing(size: size)
        build(&inner)
        if !inner.elements.isEmpty { elements.append(.clip(rect, inner.elements)) }
    }
}

/// Color, width and dash pattern of a line.
struct DrawingStroke: Sendable, Hashable {
    var color: ChartColor
    var width: Double
    var opacity: Double = 1
    /// Alternating lengths of dashes and gaps; empty for a solid line.
    var dash: [Double] = []
    /// True if a horizontal or vertical line is moved to whole pixels, so that it stays sharp.
    var snaps = false
}

/// A shape of a picture.
indirect enum DrawingElement: Sendable {
    /// Polylines of one color; a translucent color does not add up where they overlap.
    case lines([[ChartPoint]], DrawingStroke)
    case polygon([ChartPoint], ChartColor, opacity: Double)
    /// A disc with a white rim that separates it from lines below.
    case marker(center: ChartPoint, radius: Double, ChartColor)
    case text(TextElement)
    case clip(ChartRect, [DrawingElement])

    func moved(by offset: ChartPoint) -> DrawingElement {
        switch self {
        case .lines(let lines, let stroke):
            return .lines(lines.map { $0.map { $0 + offset } }, stroke)
        case .polygon(let points, let color, let opacity):
            return .polygon(points.map { $0 + offset }, color, opacity: opacity)
        case .marker(let center, let radius, let color):
            return .marker(center: center + offset, radius: radius, color)
        case .text(var element):
            element.position = element.position + offset
            return .text(element)
        case .clip(var rect, let elements):
            rect.x += offset.x
            rect.y += offset.y
            return .clip(rect, elements.map { $0.moved(by: offset) })
        }
    }
}

/// A failure to render or write a picture.
public enum PlotError: Error, Equatable, CustomStringConvertible, LocalizedError {
    /// The width or height in pixels is not positive, or the picture has more than 64 million pixels.
    case pictureTooLarge(width: Double, height: Double)
    /// The extension of a file name is neither `.svg` nor `.png`.
    case unknownPictureFormat(path: String)

    /// The cause, the place and the remedy.
    public var description: String {
        switch self {
        case .pictureTooLarge(let width, let height):
            "a picture of \(Format.number(width)) x \(Format.number(height)) pixels is too large "
                + "or has no valid size; use a smaller size or scale"
        case .unknownPictureFormat(let path):
            "unknown picture format of '\(path)': use a file name that ends in .svg or .png"
        }
    }

    /// The same text as `description`.
    public var errorDescription: String? { description }
}
