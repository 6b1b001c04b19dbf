import Foundation
import RetNetReporting

/// The labeled values of an axis.
struct AxisTicks: Sendable {
    struct Tick: Sendable {
        let value: Double
        let label: String
    }

    var ticks: [Tick] = []
    /// Values of grid lines without labels.
    var minor: [Double] = []

    init() {}

    /// Chooses round values about `spacing` points apart on an axis of `length` points.
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
        // A single power does not show the scale.
        if ticks.count < 2 {
            let unit =
                format == .bytes ? TickLabels.byteUnit(for: max(abs(scale.lower), abs(scale.upper))) : 1
            let values = Self.linearValues(scale.lower / unit, scale.upper / unit, count: count)
            minor = []
            ticks = TickLabels.make(values.map { $0 * unit }, format: format)
        }
    }

    /// Returns round values for a horizontal axis, as many as have space for their labels.
    static func fitting(
        scale: AxisScale, format: ChartAxis.LabelFormat, length: Double, labelSize: Double
    ) -> AxisTicks {
        // Short labels such as "1K" may be close together; numbers on a linear axis need not be.
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

    /// Returns multiples of 1, 2, 2.5 or 5 times a power of ten.
    static func linearValues(_ lower: Double, _ upper: Double, count: Int) -> [Double] {
        let rough = (upper - lower) / Double(max(count, 1))
        guard rough.isFinite, rough > 0, rough > max(abs(lower), abs(upper)) * 1e-14 else {
            return lower < upper ? [lower, upper] : [lower]
        }
        let magnitude = pow(10, log10(rough).rounded(.down))
        // Quarters are the least readable steps, so they have to fit clearly better.
        func cost(_ multiple: Double) -> Double {
            abs(log(multiple * magnitude / rough)) + (multiple == 2.5 ? 0.15 : 0)
        }
        let multiple = [1, 2, 2.5, 5, 10].min { cost($0) < cost($1) } ?? 1
        let step = multiple * magnitude
        // The tolerance includes ends that rounding moved just outside.
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
            // With few decades, 2 and 5 have labels as well.
            let labeled: Set<Int> = values.count * 3 <= count * 2 ? [2, 5] : []
            for value in inside {
                let digit = Int((value / pow(10, log10(value).rounded(.down))).rounded())
                if labeled.contains(digit) { values.append(value) } else { result.minor.append(value) }
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

/// Formats the labels of ticks.
enum TickLabels {
    /// Returns labels for evenly spaced values, all with the same unit and number of decimals.
    static func make(_ values: [Double], format: ChartAxis.LabelFormat) -> [AxisTicks.Tick] {
        let largest = values.map(abs).max() ?? 0
        let step = values.count > 1 ? abs(values[1] - values[0]) : largest
        let label: (Double) -> String =
            switch format {
            case .percent: { Format.fixed($0 * 100, decimals: decimals(step * 100)) + "%" }
            case .bytes: bytes(largest: largest, step: step)
            case .automatic: automatic(largest: largest, step: step)
            }
        return values.map { AxisTicks.Tick(value: $0, label: label($0)) }
    }

    /// Returns the label of a single value, as on a logarithmic axis.
    ///
    /// With `usesSuffix`, thousands are written as `1k` even where the number is short.
    static func single(_ value: Double, format: ChartAxis.LabelFormat, usesSuffix: Bool = false) -> String {
        switch format {
        case .percent: Format.trimmed(Format.fixed(value * 100, decimals: decimals(value * 100))) + "%"
        case .bytes: Format.bytes(value)
        case .automatic:
            usesSuffix && value >= 999.5 && value < 1e15
                ? Format.count(value) : automatic(largest: abs(value), step: abs(value))(value)
        }
    }

    /// Returns the label of a power of two, in units of 1024 from 1024: 512, 1K, 64K, 2M.
    static func binary(_ value: Double) -> String {
        let suffixes = ["", "K", "M", "G", "T"]
        var rest = value
        var suffix = 0
        while rest >= 1024, suffix < suffixes.count - 1 {
            rest /= 1024
            suffix += 1
        }
        return single(rest, format: .automatic) + suffixes[suffix]
    }

    /// Returns the binary unit for amounts up to `largest`.
    static func byteUnit(for largest: Double) -> Double {
        guard largest >= 1024, largest.isFinite else { return 1 }
        return pow(1024, min((log2(largest) / 10).rounded(.down), 6))
    }

    private static func bytes(largest: Double, step: Double) -> (Double) -> String {
        let unit = byteUnit(for: largest)
        let names = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"]
        let name = names[min(max(Int((log2(unit) / 10).rounded()), 0), names.count - 1)]
        let digits = decimals(step / unit)
        return { $0 == 0 ? "0" : Format.fixed($0 / unit, decimals: digits) + " " + name }
    }

    private static func automatic(largest: Double, step: Double) -> (Double) -> String {
        if largest >= 9_999.5 && largest < 1e15 {
            let units: [(Double, String)] = [(1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k")]
            let (unit, suffix) = units.first { largest >= $0.0 * 0.9995 } ?? (1, "")
            let digits = decimals(step / unit)
            if digits <= 3 {
                return { $0 == 0 ? "0" : Format.fixed($0 / unit, decimals: digits) + suffix }
            }
        }
        if largest >= 1e15 || (largest < 0.9995e-3 && largest > 0) {
            let exponent = log10(largest * 1.0000001).rounded(.down)
            let unit = pow(10, exponent)
            let digits = decimals(step / unit)
            return { $0 == 0 ? "0" : Format.fixed($0 / unit, decimals: digits) + "e\(Int(exponent))" }
        }
        let digits = decimals(step)
        return { Format.fixed($0, decimals: digits) }
    }

    /// Returns the number of decimals that distinguish multiples of `step`.
    private static func decimals(_ step: Double) -> Int {
        guard step > 0, step.isFinite else { return 0 }
        for digits in 0..<12 {
            let scaled = step * pow(10, Double(digits))
            if scaled >= 0.999 && abs(scaled - scaled.rounded()) < 1e-4 * scaled { return digits }
        }
        return 12
    }
}
