/// An axis of a chart.
public struct ChartAxis: Sendable, Hashable {
    /// How values are spread along an axis.
    public enum Scale: Sendable, Hashable {
        /// Equal differences are equally far apart.
        case linear
        /// Equal ratios are equally far apart, with ticks at powers of ten; values must be above zero.
        case logarithmic
        /// Equal ratios are equally far apart, with ticks at powers of two; values must be above zero.
        case binaryLogarithmic
    }

    /// How the labels of the ticks are written.
    public enum LabelFormat: Sendable, Hashable {
        /// Plain numbers where short, otherwise with the suffixes k, M, B and T or with an exponent.
        case automatic
        /// Fractions of one as per cent.
        case percent
        /// Bytes with binary units.
        case bytes
    }

    /// The title with the unit, for example `Loss (nats per token)`.
    public var title: String
    /// How values are spread.
    public var scale: Scale
    /// The values to show; `nil` fits all data.
    public var range: ClosedRange<Double>?
    /// Whether a fitted linear range reaches down (or up) to zero.
    public var includesZero: Bool
    /// How tick labels are written.
    public var format: LabelFormat

    /// Makes an axis; by default it is linear and fits the data.
    public init(
        _ title: String = "", scale: Scale = .linear, range: ClosedRange<Double>? = nil,
        includesZero: Bool = false, format: LabelFormat = .automatic
    ) {
        self.title = title
        self.scale = scale
        self.range = range
        self.includesZero = includesZero
        self.format = format
    }
}
