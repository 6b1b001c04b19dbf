/// One line of text in a picture.
struct TextElement: Sendable {
    enum Anchor: Sendable {
        case start
        case middle
        case end
    }

    var text: String
    /// Point of the baseline that `anchor` refers to.
    var position: ChartPoint
    var size: Double
    var color = ChartColor.text
    var anchor = Anchor.start
    var isBold = false
    /// Rotation in degrees, clockwise.
    var rotation: Double = 0
    /// True if a white rim keeps the text readable over lines.
    var hasHalo = false

    /// Height of the middle of capital letters above the baseline, as a fraction of the size.
    static let middleOfCapitals = 0.36

    var width: Double { StrokeFont.width(of: text, size: size, isBold: isBold) }

    /// Breaks text into lines of at most `width`; the last of `maxLines` is shortened if necessary.
    static func wrap(_ text: String, width: Double, size: Double, isBold: Bool = false, maxLines: Int)
        -> [String]
    {
        func fits(_ line: String) -> Bool {
            StrokeFont.width(of: line, size: size, isBold: isBold) <= width
        }
        var lines: [String] = []
        for word in text.split(whereSeparator: \.isWhitespace) {
            for (index, part) in parts(of: word).enumerated() {
                let space = index == 0 ? " " : ""
                if let last = lines.last, lines.count == maxLines || fits(last + space + part) {
                    lines[lines.count - 1] = last + space + part
                } else {
                    lines.append(part)
                }
            }
        }
        return lines.map { fits($0) ? $0 : shorten($0, width: width, size: size, isBold: isBold) }
    }

    /// A word may be broken after a hyphen, an underscore or a slash.
    private static func parts(of word: Substring) -> [String] {
        var parts = [""]
        for character in word {
            if let last = parts.last?.last, "-_/".contains(last), !"-_/".contains(character),
                (parts.last?.count ?? 0) > 2
            {
                parts.append("")
            }
            parts[parts.count - 1].append(character)
        }
        return parts
    }

    /// Truncates text to `width`, with an ellipsis at its end.
    static func shorten(_ text: String, width: Double, size: Double, isBold: Bool = false) -> String {
        guard StrokeFont.width(of: text, size: size, isBold: isBold) > width else { return text }
        let room = width - StrokeFont.width(of: "\u{2026}", size: size, isBold: isBold)
        var kept = ""
        var used = 0.0
        for character in text {
            used += StrokeFont.width(of: String(character), size: size, isBold: isBold)
            if used > room { break }
            kept.append(character)
        }
        return kept + "\u{2026}"
    }
}
