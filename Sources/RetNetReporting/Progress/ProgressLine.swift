/// The text of one state of a progress bar; a pure function of its fields.
struct ProgressLine: Sendable {
    var title: String
    var step: Int
    /// `nil` when the amount of work is not known.
    var total: Int?
    var metrics: [ProgressMetric] = []
    var elapsedSeconds: Double = 0
    var secondsLeft: Double?

    private static let smallestBar = 10
    private static let largestBar = 40

    /// The share of the work which is done, from 0 to 1, or `nil` when the total is not known.
    var fraction: Double? {
        guard let total else { return nil }
        return total > 0 ? min(max(Double(step) / Double(total), 0), 1) : 1
    }

    /// A line for a terminal of `width` columns, at most `width - 1` long so that it never wraps.
    ///
    /// When room is short, the bar shrinks first; then the last metrics, the times and the title go.
    func bar(width: Int, isRich: Bool) -> String {
        let room = max(width - 1, 1)
        for layout in candidates() {
            let used = layout.reduce(0) { $0 + DisplayWidth.of($1) } + 2 * max(layout.count - 1, 0)
            guard fraction != nil else {
                if used <= room { return layout.joined(separator: "  ") }
                continue
            }
            // One separator of two columns stands before the bar's own place in the line.
            let free = room - used - 2
            guard free >= Self.smallestBar else { continue }
            var parts = layout
            let drawn = drawBar(length: min(free, Self.largestBar), isRich: isRich)
            let place = parts.firstIndex { $0 == percentText }.map { $0 + 1 } ?? 0
            parts.insert(drawn, at: place)
            return parts.joined(separator: "  ")
        }
        return DisplayWidth.truncate(
            [percentText, counterText].filter { !$0.isEmpty }.joined(separator: " "), to: room)
    }

    /// A line for a log file, without bar and control characters.
    func plain() -> String {
        var parts = title.isEmpty ? [] : [Self.clean(title)]
        parts.append(fraction == nil ? counterText : "\(counterText) (\(percentText))")
        parts += metrics.map { Self.clean($0.text) }
        parts.append(timesText)
        return parts.joined(separator: "  ")
    }

    private func candidates() -> [[String]] {
        let head = title.isEmpty ? [] : [Self.clean(title)]
        let core = fraction == nil ? [counterText] : [percentText, counterText]
        let texts = metrics.map { Self.clean($0.text) }
        var result = (0...texts.count).reversed().map { head + core + texts.prefix($0) + [timesText] }
        result += [head + core, core]
        return result
    }

    private var percentText: String {
        guard let fraction else { return "" }
        // Rounded down: "100%" must mean that everything is done.
        let text = "\(Int((fraction * 100).rounded(.down)))%"
        return String(repeating: " ", count: max(0, 4 - text.count)) + text
    }

    private var counterText: String {
        guard let total else { return Format.grouped(step) }
        return "\(Format.grouped(step))/\(Format.grouped(total))"
    }

    private var timesText: String {
        let elapsed = Format.clock(seconds: elapsedSeconds) + " elapsed"
        guard let secondsLeft else { return elapsed }
        return elapsed + ", " + Format.clock(seconds: secondsLeft) + " left"
    }

    private func drawBar(length: Int, isRich: Bool) -> String {
        let fraction = fraction ?? 0
        guard isRich else {
            let inner = max(length - 2, 1)
            let full = Int((fraction * Double(inner)).rounded(.down))
            return "[" + String(repeating: "#", count: full)
                + String(repeating: "-", count: inner - full) + "]"
        }
        // Heavy and light lines of the box-drawing block, with half cells.
        let halves = Int((fraction * Double(2 * length)).rounded(.down))
        let full = halves / 2
        var done = String(repeating: "\u{2501}", count: full)
        var rest = length - full
        if halves % 2 == 1 {
            done += "\u{2578}"
            rest -= 1
        }
        let colour = fraction >= 1 ? "32" : "36"
        return "\u{1B}[\(colour)m\(done)\u{1B}[0m\u{1B}[2m"
            + String(repeating: "\u{2500}", count: rest) + "\u{1B}[0m"
    }

    /// Control characters in a title or metric would break the redrawing.
    static func clean(_ text: String) -> String {
        String(text.map { $0.unicodeScalars.contains { $0.value < 32 || $0.value == 127 } ? " " : $0 })
    }
}
