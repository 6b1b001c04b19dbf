import Foundation

/// An axis of a chart.
public struct ChartAxis: Sendable, Hashable {
    /// Mapping of values to positions along an axis.
    public enum Scale: Sendable, Hashable {
        /// Equal differences have equal distances.
        case linear
        /// Equal ratios have equal distances, with ticks at powers of ten; values must be above zero.
        case logarithmic
        /// Equal ratios have equal distances, with ticks at powers of two; values must be above zero.
        case binaryLogarithmic
    }

    /// Format of the tick labels.
    public enum LabelFormat: Sendable, Hashable {
        /// Plain numbers if short, otherwise with the suffixes k, M, B and T or with an exponent.
        case automatic
        /// Fractions of one as percentages.
        case percent
        /// Bytes in binary units.
        case bytes
    }

    /// Title with the unit, for example `Loss (nats per token)`.
    public var title: String
    /// Mapping of values to positions.
    public var scale: Scale
    /// Range of values; `nil` to fit all data.
    public var range: ClosedRange<Double>?
    /// True if a fitted linear range includes zero.
    public var includesZero: Bool
    /// Format of the tick labels.
    public var format: LabelFormat

    /// Creates an axis; by default it is linear and fits the data.
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

/// Maps values to fractions of the length of an axis.
struct AxisScale: Sendable {
    let kind: ChartAxis.Scale
    /// Lower end in data values; finite and below `upper`.
    let lower: Double
    let upper: Double

    /// Magnitude from which values count as infinite, so that differences stay finite.
    private static let limit = 1e150
    private static let logarithmicFloor = 1e-150

    /// Fits an axis to data; `padding` is the fraction of the length left free at both ends.
    ///
    /// Returns `nil` if there is neither a usable value nor a usable given range.
    init?(fitting values: some Sequence<Double>, axis: ChartAxis, padding: Double) {
        kind = axis.scale
        if let range = axis.range, Self.isUsable(range.lowerBound, axis.scale),
            Self.isUsable(range.upperBound, axis.scale), range.lowerBound < range.upperBound
        {
            (lower, upper) = (range.lowerBound, range.upperBound)
            return
        }
        var (low, high) = (Double.infinity, -Double.infinity)
        for value in values where Self.isUsable(value, axis.scale) {
            low = min(low, value)
            high = max(high, value)
        }
        guard low <= high else { return nil }
        if axis.scale == .linear {
            (lower, upper) = Self.padLinear(low, high, includesZero: axis.includesZero, padding: padding)
        } else {
            let free = low < high ? pow(high / low, padding) : 2
            (lower, upper) = (low / free, high * free)
        }
    }

    /// Returns true if an axis can show a value.
    static func isUsable(_ value: Double, _ kind: ChartAxis.Scale) -> Bool {
        guard abs(value) < limit else { return false }
        return kind == .linear || value > logarithmicFloor
    }

    /// Returns the position of a value, 0 at the lower end and 1 at the upper; `nil` if it cannot be shown.
    func fraction(_ value: Double) -> Double? {
        guard Self.isUsable(value, kind) else { return nil }
        let place =
            kind == .linear
            ? (value - lower) / (upper - lower) : log(value / lower) / log(upper / lower)
        // Points far outside are moved near enough for the arithmetic of drawing.
        return place.isFinite ? min(max(place, -1000), 1000) : nil
    }

    private static func padLinear(
        _ low: Double, _ high: Double, includesZero: Bool, padding: Double
    ) -> (Double, Double) {
        var (lower, upper) = (low, high)
        if includesZero { (lower, upper) = (min(lower, 0), max(upper, 0)) }
        // A range this narrow has no space for distinct tick labels.
        if upper - lower <= max(abs(lower), abs(upper)) * 1e-9 {
            let room = max(abs(upper) * 0.05, 1e-9)
            return lower == 0 ? (-0.5, 0.5) : (lower - room, upper + room)
        }
        let free = (upper - lower) * padding
        // Quantities that are never negative get no negative ticks.
        let paddedLower = lower >= 0 && lower - free < 0 ? 0 : lower - free
        let paddedUpper = upper <= 0 && upper + free > 0 ? 0 : upper + free
        if includesZero && low >= 0 { return (0, paddedUpper) }
        if includesZero && high <= 0 { return (paddedLower, 0) }
        return (paddedLower, paddedUpper)
    }
}
