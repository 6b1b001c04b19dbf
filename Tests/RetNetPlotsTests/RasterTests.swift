import Foundation
import RetNetStorage
import Testing

@testable import RetNetPlots

@Suite("Rasterizer and PNG")
struct RasterTests {
    private func darkness(_ raster: Rasterizer) -> Double {
        let sum = raster.pixels.reduce(0) { $0 + 255 - Int($1) }
        return Double(sum) / 255 / 3
    }

    private func rectangle(_ x: Double, _ y: Double, _ width: Double, _ height: Double) -> [ChartPoint] {
        ChartRect(x: x, y: y, width: width, height: height).corners
    }

    @Test("Covered area equals the polygon's area")
    func area() {
        var raster = Rasterizer(width: 40, height: 40)
        raster.fill([rectangle(3.25, 4.5, 10.5, 8)], color: ChartColor(0x000000))
        #expect(abs(darkness(raster) - 84) < 0.5)
        var round = Rasterizer(width: 40, height: 40)
        let disc = StrokeGeometry.disc(center: ChartPoint(20, 20), radius: 10)
        round.fill([disc], color: ChartColor(0x000000))
        #expect(abs(darkness(round) - 314) < 4)
    }

    @Test("Overlapping polygons are painted once")
    func union() {
        var raster = Rasterizer(width: 20, height: 20)
        raster.fill(
            [rectangle(2, 2, 10, 10), rectangle(2, 2, 10, 10)], color: ChartColor(0x000000), opacity: 0.5)
        #expect(abs(darkness(raster) - 50) < 0.5)
    }

    @Test("Nothing is painted outside the clip or the picture")
    func clip() {
        var raster = Rasterizer(width: 10, height: 10)
        let clip = ChartRect(x: 2, y: 3, width: 4, height: 5)
        raster.fill([rectangle(-1e6, -1e6, 2e6, 2e6)], color: ChartColor(0x000000), clip: clip)
        #expect(abs(darkness(raster) - 20) < 0.01)
        var other = Rasterizer(width: 10, height: 10)
        other.fill([rectangle(50, 50, 5, 5), [ChartPoint(.nan, 1)]], color: ChartColor(0x000000))
        #expect(darkness(other) == 0)
    }

    @Test("Strokes have their width, and dashes leave gaps")
    func strokes() {
        let line = [ChartPoint(5, 10), ChartPoint(35, 10)]
        var solid = Rasterizer(width: 40, height: 20)
        solid.fill(StrokeGeometry.outline(line, width: 3), color: ChartColor(0x000000))
        #expect(abs(darkness(solid) - 90) < 0.5)
        let dashes = StrokeGeometry.dashed(line, pattern: [6, 4])
        #expect(dashes.count == 3)
        #expect(dashes.map { $0[0].x } == [5, 15, 25])
        #expect(StrokeGeometry.outline([ChartPoint(1, 1), ChartPoint(1, 1)], width: 2).isEmpty)
    }

    @Test("PNG files have valid chunks and the same pixels")
    func png() throws {
        let rgb: [UInt8] = [255, 0, 0, 0, 255, 0, 10, 20, 30, 40, 50, 60]
        let file = [UInt8](PNGEncoder.encode(width: 2, height: 2, rgb: rgb))
        #expect(file.prefix(8) == [0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A])
        var chunks: [String: Data] = [:]
        var rest = file.dropFirst(8)
        while !rest.isEmpty {
            let length = rest.prefix(4).reduce(0) { $0 << 8 | Int($1) }
            let body = Data(rest.dropFirst(4).prefix(4 + length))
            let sum = rest.dropFirst(8 + length).prefix(4).reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
            #expect(Checksum.crc32(body) == sum)
            chunks[String(decoding: body.prefix(4), as: UTF8.self)] = Data(body.dropFirst(4))
            rest = rest.dropFirst(12 + length)
        }
        #expect(chunks["IHDR"].map { [UInt8]($0) } == [0, 0, 0, 2, 0, 0, 0, 2, 8, 2, 0, 0, 0])
        #expect(chunks["IEND"] == Data())
        let rows = [UInt8](try Gzip.inflate(try #require(chunks["IDAT"])))
        #expect(rows.count == 14)
        #expect(Array(rows[1...6]) == Array(rgb.prefix(6)))
        let second: [UInt8] = zip(rows[1...6], rows[8...13]).map { $0 &+ $1 }
        #expect(second == Array(rgb.suffix(6)))
    }

    @Test("Oversized pictures are refused", arguments: [0, -1, 1000, Double.nan, .infinity])
    func oversized(scale: Double) {
        #expect(throws: PlotError.self) { try Drawing(size: .standard).png(scale: scale) }
    }

    @Test("The stroke font has every printable ASCII character")
    func font() throws {
        for value in UInt8(32)...126 {
            let glyph = try #require(StrokeFont.glyph(for: Unicode.Scalar(value)))
            #expect(glyph.isComplete)
            #expect(glyph.advance > 100)
            let points = glyph.outlines(stem: 80, halo: 0).joined()
            #expect(points.isEmpty == (value == 32))
            // Letters stay near their baseline, so that lines of text never overlap.
            #expect(points.allSatisfy { $0.y > -240 && $0.y < 815 })
            #expect(points.allSatisfy { $0.x > -30 && $0.x < glyph.advance + 30 })
        }
        #expect(StrokeFont.width(of: "\u{6F22}", size: 10) > 0)
    }

    @Test("Text is wrapped at spaces and hyphens and truncated at the end")
    func wrapping() {
        let lines = TextElement.wrap("one two-three four", width: 50, size: 12, maxLines: 5)
        #expect(lines == ["one two-", "three", "four"])
        let short = TextElement.wrap("aaaa bbbb cccc", width: 40, size: 12, maxLines: 1)
        #expect(short.count == 1 && short[0].hasSuffix("\u{2026}"))
        #expect(StrokeFont.width(of: short[0], size: 12) <= 40)
    }
}
