/// One measured quantity shown beside a progress bar.
public struct ProgressMetric: Sendable, Hashable {
    /// The text as it is shown, for example `loss 1.234`.
    public let text: String

    /// Shows `text` as it is.
    public init(_ text: String) {
        self.text = text
    }

    /// Makes a named number, for example `loss 1.234`.
    public static func value(_ name: String, _ value: Double, significantDigits: Int = 4) -> ProgressMetric {
        ProgressMetric("\(name) \(Format.number(value, significantDigits: significantDigits))")
    }

    /// Makes a rate with its unit, for example `12.3k tok/s`.
    public static func rate(_ value: Double, unit: String) -> ProgressMetric {
        ProgressMetric("\(Format.count(value)) \(unit)")
    }

    /// Makes an amount of memory or storage, for example `3.1 GiB`.
    public static func bytes(_ byteCount: Int) -> ProgressMetric {
        ProgressMetric(Format.bytes(byteCount))
    }
}
