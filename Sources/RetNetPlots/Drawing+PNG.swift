import Foundation
import RetNetStorage

extension Drawing {
    /// Largest picture in pixels.
    private static let maximumPixelCount = 64_000_000.0

    /// Returns the picture as a PNG file with `scale` pixels per point.
    ///
    /// Throws `PlotError.pictureTooLarge` above 64 million pixels and for a scale that is not a positive
    /// number.
    public func png(scale: Double = 2) throws -> Data {
        let raster = try rasterized(scale: scale)
        return PNGEncoder.encode(width: raster.width, height: raster.height, rgb: raster.pixels)
    }

    func rasterized(scale: Double) throws -> Rasterizer {
        let width = (size.width * scale).rounded()
        let height = (size.height * scale).rounded()
        guard scale.isFinite, scale > 0, width >= 1, height >= 1, width * height <= Self.maximumPixelCount
        else { throw PlotError.pictureTooLarge(width: width, height: height) }
        var painter = Painter(
            raster: Rasterizer(width: Int(width), height: Int(height)), scale: scale)
        for element in elements { painter.paint(element, clip: nil) }
        return painter.raster
    }
}

/// Converts the shapes of a picture to filled polygons of pixels.
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
        case .text(let text):
            paint(text, clip: clip)
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

    private mutating func paint(_ text: TextElement, clip: ChartRect?) {
        let shift =
            switch text.anchor {
            case .start: 0.0
            case .middle: -text.width / 2
            case .end: -text.width
            }
        let angle = text.rotation * .pi / 180
        var origin = text.position * scale
        // Baselines on whole pixels keep horizontal text sharp.
        if text.rotation == 0 { origin.y = origin.y.rounded() }
        let transform = GlyphTransform(
            origin: origin, scale: scale, cosine: cos(angle), sine: sin(angle), shift: shift)
        if text.hasHalo {
            raster.fill(
                StrokeFont.outlines(text, transform: transform, halo: 3), color: .white, clip: clip)
        }
        raster.fill(StrokeFont.outlines(text, transform: transform), color: text.color, clip: clip)
    }

    /// Moves horizontal and vertical lines so that their edges fall between pixels.
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

/// Writes PNG files with three eight-bit channels (ISO/IEC 15948).
enum PNGEncoder {
    private static let signature: [UInt8] = [0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A]

    /// Encodes rows of red, green and blue bytes, from the top left pixel.
    static func encode(width: Int, height: Int, rgb: [UInt8]) -> Data {
        var header = Data()
        header.appendBigEndian(UInt32(clamping: width))
        header.appendBigEndian(UInt32(clamping: height))
        // Bit depth 8, color type 2 (RGB), and the only compression and filter methods; no interlacing.
        header.append(contentsOf: [8, 2, 0, 0, 0])
        var file = Data(signature)
        append(chunk: "IHDR", header, to: &file)
        append(chunk: "IDAT", Gzip.deflate(filtered(rgb, rowLength: width * 3)), to: &file)
        append(chunk: "IEND", Data(), to: &file)
        return file
    }

    /// Returns each row as its difference from the row above (filter type 2), which compresses flat areas well.
    private static func filtered(_ rgb: [UInt8], rowLength: Int) -> Data {
        guard rowLength > 0 else { return Data() }
        var bytes = [UInt8]()
        bytes.reserveCapacity(rgb.count + rgb.count / rowLength)
        for start in stride(from: 0, to: rgb.count, by: rowLength) {
            bytes.append(2)
            for index in start..<(start + rowLength) {
                bytes.append(index >= rowLength ? rgb[index] &- rgb[index - rowLength] : rgb[index])
            }
        }
        return Data(bytes)
    }

    private static func append(chunk type: String, _ body: Data, to file: inout Data) {
        file.appendBigEndian(UInt32(clamping: body.count))
        let checked = Data(type.utf8) + body
        file.append(checked)
        file.appendBigEndian(Checksum.crc32(checked))
    }
}

extension Data {
    /// Appends the bytes of an integer, the most significant byte first.
    fileprivate mutating func appendBigEndian(_ value: some FixedWidthInteger) {
        Swift.withUnsafeBytes(of: value.bigEndian) { append(contentsOf: $0) }
    }
}
