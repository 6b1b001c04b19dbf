extension Drawing {
    /// Returns the picture as an SVG document.
    public func svg() -> String {
        var writer = SVGWriter()
        let width = SVGWriter.number(size.width)
        let height = SVGWriter.number(size.height)
        writer.body += "<rect width=\"\(width)\" height=\"\(height)\" fill=\"#FFFFFF\"/>\n"
        for element in elements { writer.add(element) }
        let definitions = writer.clips.isEmpty ? "" : "<defs>\n\(writer.clips)</defs>\n"
        return """
            <svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 \(width) \(height)" \
            width="\(width)" height="\(height)" font-family="\(SVGWriter.fontFamily)">
            \(definitions)\(writer.body)</svg>

            """
    }
}

/// Builds the parts of an SVG document.
private struct SVGWriter {
    /// Fonts with the advance widths of Helvetica, the same as those of the stroke font.
    static let fontFamily = "Helvetica, Arial, 'Liberation Sans', 'Nimbus Sans', sans-serif"

    var body = ""
    var clips = ""
    private var clipCount = 0

    mutating func add(_ element: DrawingElement) {
        switch element {
        case .lines(let lines, let stroke):
            let path = lines.map { "M" + Self.list($0) }.joined(separator: " ")
            body += "<path d=\"\(path)\" fill=\"none\" stroke=\"\(stroke.color.hex)\""
            body += " stroke-width=\"\(Self.number(stroke.width))\" stroke-linejoin=\"round\""
            if stroke.opacity < 1 { body += " stroke-opacity=\"\(Self.number(stroke.opacity))\"" }
            if !stroke.dash.isEmpty {
                let dash = stroke.dash.map(Self.number).joined(separator: " ")
                body += " stroke-dasharray=\"\(dash)\""
            }
            if stroke.snaps { body += " shape-rendering=\"crispEdges\"" }
            body += "/>\n"
        case .polygon(let points, let color, let opacity):
            body += "<polygon points=\"\(Self.list(points))\" fill=\"\(color.hex)\""
            if opacity < 1 { body += " fill-opacity=\"\(Self.number(opacity))\"" }
            body += "/>\n"
        case .marker(let center, let radius, let color):
            body += "<circle cx=\"\(Self.number(center.x))\" cy=\"\(Self.number(center.y))\""
            body += " r=\"\(Self.number(radius))\" fill=\"\(color.hex)\" stroke=\"#FFFFFF\""
            body += " stroke-width=\"1\"/>\n"
        case .text(let text):
            add(text)
        case .clip(let rect, let elements):
            clipCount += 1
            clips += "<clipPath id=\"clip\(clipCount)\"><rect x=\"\(Self.number(rect.x))\""
            clips += " y=\"\(Self.number(rect.y))\" width=\"\(Self.number(rect.width))\""
            clips += " height=\"\(Self.number(rect.height))\"/></clipPath>\n"
            body += "<g clip-path=\"url(#clip\(clipCount))\">\n"
            for element in elements { add(element) }
            body += "</g>\n"
        }
    }

    private mutating func add(_ text: TextElement) {
        // Two elements instead of `paint-order`, which not every program supports.
        if text.hasHalo {
            add(text, paint: "fill=\"none\" stroke=\"#FFFFFF\" stroke-width=\"3\" stroke-linejoin=\"round\"")
        }
        add(text, paint: "fill=\"\(text.color.hex)\"")
    }

    private mutating func add(_ text: TextElement, paint: String) {
        let x = Self.number(text.position.x)
        let y = Self.number(text.position.y)
        body += "<text x=\"\(x)\" y=\"\(y)\" font-size=\"\(Self.number(text.size))\""
        // The length keeps the layout if the font is substituted.
        body += " \(paint) textLength=\"\(Self.number(text.width))\" lengthAdjust=\"spacingAndGlyphs\""
        switch text.anchor {
        case .start: break
        case .middle: body += " text-anchor=\"middle\""
        case .end: body += " text-anchor=\"end\""
        }
        if text.isBold { body += " font-weight=\"bold\"" }
        if text.rotation != 0 { body += " transform=\"rotate(\(Self.number(text.rotation)) \(x) \(y))\"" }
        body += ">\(Self.escaped(text.text))</text>\n"
    }

    /// Returns a coordinate with at most two decimals.
    static func number(_ value: Double) -> String {
        guard value.isFinite else { return "0" }
        let hundredths = Int((min(max(value, -1e9), 1e9) * 100).rounded())
        let magnitude = hundredths.magnitude
        let sign = hundredths < 0 ? "-" : ""
        let (whole, rest) = (magnitude / 100, magnitude % 100)
        if rest == 0 { return "\(sign)\(whole)" }
        if rest % 10 == 0 { return "\(sign)\(whole).\(rest / 10)" }
        return "\(sign)\(whole).\(rest < 10 ? "0" : "")\(rest)"
    }

    private static func list(_ points: [ChartPoint]) -> String {
        points.map { "\(number($0.x)),\(number($0.y))" }.joined(separator: " ")
    }

    /// Returns text escaped for XML, without characters that XML forbids.
    static func escaped(_ text: String) -> String {
        var result = ""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "&": result += "&amp;"
            case "<": result += "&lt;"
            case ">": result += "&gt;"
            case "\"": result += "&quot;"
            case "\t", "\n", "\r": result += " "
            case _ where scalar.value < 0x20 || [0xFFFE, 0xFFFF].contains(scalar.value): break
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result
    }
}
