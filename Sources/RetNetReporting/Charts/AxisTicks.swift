import Foundation

/// The marked values of an axis.
struct AxisTicks: Sendable {
    struct Tick: Sendable {
        let value: Double
        let label: String
    }

    var ticks: [Tick] = []
    /// Values of finer grid lines without labels.
    var minor: [Double] = []

    init() {}

    /// Chooses round values, about `spacing` points apart on an axis of `length` points.
    init(scale: AxisScale, format: ChartAxis.LabelFormat, length: Double, spacing: Double) {
        let count = max(3, Int(min(length / spacing, 50).rounded()))
        switch scale.kind {
        case .linear:
            break
        case .logarithmic:
            self = Self.powers(of: 10, scale: scale, format: format, count: count)
        case .binaryLogarithmic:
            self = Self.powers(of: 2, scale: scale, format: format, count: count)
        }
        // Less than two powers in sight say too little about the scale.
        if ticks.count < 2 {
            let unit =
                format == .bytes ? TickLabels.byteUnit(for: max(abs(scale.lower), abs(scale.upper))) : 1
            let values = Self.linearValues(scale.lower / unit, scale.upper / unit, count: count)
            minor = []
            ticks = TickLabels.make(values.map { $0 * unit }, format: format)
        }
    }

    /// Round values for a level axis, as many as have room for their labels.
    static func fitting(
        scale: AxisScale, format: ChartAxis.LabelFormat, length: Double, labelSize: Double
    ) -> AxisTicks {
        // Short labels such as "1K" may stand close together; numbers on a linear axis need not.
        var spacing = scale.kind == .linear ? 80.0 : 36
        while true {
            let ticks = AxisTicks(scale: scale, format: format, length: length, spacing: spacing)
            if spacing >= length || ticks.labelsFit(scale: scale, length: length, labelSize: labelSize) {
                return ticks
            }
            spacing *= 1.3
        }
    }

    private func labelsFit(scale: AxisScale, length: Double, labelSize: Double) -> Bool {
        var end = -Double.infinity
        for tick in ticks {
            let half = StrokeFont.width(of: tick.label, size: labelSize) / 2
            let center = (scale.fraction(tick.value) ?? 0) * length
            if center - half < end + 10 { return false }
            end = center + half
        }
        return true
    }

    /// Multiples of 1, 2, 2.5 or 5 times a power of ten.
    static func linearValues(_ lower: Double, _ upper: Double, count: Int) -> [Double] {
        let rough = (upper - lower) / Double(max(count, 1))
        guard rough.isFinite, rough > 0, rough > max(abs(lower), abs(upper)) * 1e-14 else {
            return lower < upper ? [lower, upper] : [lower]
        }
        let magnitude = pow(10, log10(rough).rounded(.down))
        // Quarters are the least readable steps, so they must fit clearly better.
        func cost(_ multiple: Double) -> Double {
            abs(log(multiple * magnitude / rough)) + (multiple == 2.5 ? 0.15 : 0)
        }
        let multiple = [1, 2, 2.5, 5, 10].min { cost($0) < cost($1) } ?? 1
        let step = multiple * magnitude
        // A little slack takes in ends which rounding put just outside.
        let first = (lower / step - 1e-6).rounded(.up)
        let last = (upper / step + 1e-6).rounded(.down)
        guard first <= last else { return [] }
        return (0...Int(min(last - first, 100))).map { index in
            let multiple = first + Double(index)
            return multiple == 0 ? 0 : multiple * step
        }
    }

    private static func powers(
        of base: Double, scale: AxisScale, format: ChartAxis.LabelFormat, count: Int
    ) -> AxisTicks {
        let first = (log(scale.lower) / log(base) - 1e-6).rounded(.up)
        let last = (log(scale.upper) / log(base) + 1e-6).rounded(.down)
        guard first <= last else { return AxisTicks() }
        let exponents = Int(first)...Int(last)
        let stride = max(1, (exponents.count + count - 1) / count)
        var result = AxisTicks()
        var values: [Double] = []
        for exponent in exponents {
            let power = pow(base, Double(exponent))
            if exponent % stride == 0 { values.append(power) } else { result.minor.append(power) }
        }
        if base == 10, stride == 1 {
            let between = (exponents.lowerBound - 1...exponents.upperBound).flatMap { exponent in
                (2...9).map { pow(10, Double(exponent)) * Double($0) }
            }
            let inside = between.filter { $0 >= scale.lower && $0 <= scale.upper }
            // Where decades are few, 2 and 5 get labels as well.
            let labelled: Set<Int> = values.count * 3 <= count * 2 ? [2, 5] : []
            for value in inside {
                let digit = Int((value / pow(10, log10(value).rounded(.down))).rounded())
                if labelled.contains(digit) { values.append(value) } else { result.minor.append(value) }
            }
        }
        let largest = values.max() ?? 0
        result.ticks = values.sorted().map { value in
            let label =
                base == 2 && format == .automatic
                ? TickLabels.binary(value)
                : TickLabels.single(value, format: format, usesSuffix: largest >= 9_999.5)
            return Tick(value: value, label: label)
        }
        return result
    }
}
