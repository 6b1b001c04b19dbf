import Foundation

/// Maps the values of an axis to the fraction of its length.
struct AxisScale: Sendable {
    let kind: ChartAxis.Scale
    /// The ends in data values, both finite, the lower one below the upper.
    let lower: Double
    let upper: Double

    /// Values beyond this are taken for infinite, so that differences stay finite.
    private static let limit = 1e150
    private static let logarithmicFloor = 1e-150

    /// Fits an axis to data; `padding` is the share of the length left free at both ends.
    ///
    /// `nil` when there is neither a usable value nor a usable given range.
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

    /// Whether the axis can show a value.
    static func isUsable(_ value: Double, _ kind: ChartAxis.Scale) -> Bool {
        guard abs(value) < limit else { return false }
        return kind == .linear || value > logarithmicFloor
    }

    /// The place of a value, 0 at the lower end and 1 at the upper; `nil` when it cannot be shown.
    func fraction(_ value: Double) -> Double? {
        guard Self.isUsable(value, kind) else { return nil }
        let place =
            kind == .linear
            ? (value - lower) / (upper - lower) : log(value / lower) / log(upper / lower)
        // Far outside points are kept near enough for the arithmetic of drawing.
        return place.isFinite ? min(max(place, -1000), 1000) : nil
    }

    private static func padLinear(
        _ low: Double, _ high: Double, includesZero: Bool, padding: Double
    ) -> (Double, Double) {
        var (lower, upper) = (low, high)
        if includesZero { (lower, upper) = (min(lower, 0), max(upper, 0)) }
        // A range this narrow has no room for distinct tick labels.
        if upper - lower <= max(abs(lower), abs(upper)) * 1e-9 {
            let room = max(abs(upper) * 0.05, 1e-9)
            return lower == 0 ? (-0.5, 0.5) : (lower - room, upper + room)
        }
        let free = (upper - lower) * padding
        // Quantities that are never negative should not seem to become so.
        let paddedLower = lower >= 0 && lower - free < 0 ? 0 : lower - free
        let paddedUpper = upper <= 0 && upper + free > 0 ? 0 : upper + free
        if includesZero && low >= 0 { return (0, paddedUpper) }
        if includesZero && high <= 0 { return (paddedLower, 0) }
        return (paddedLower, paddedUpper)
    }
}
