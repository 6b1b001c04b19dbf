import Foundation

/// Writes the labels of ticks.
enum TickLabels {
    /// Labels for evenly spaced values, all with the same unit and number of decimals.
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

    /// A label for a value which stands alone, as on a logarithmic axis.
    ///
    /// `usesSuffix` writes thousands as `1k` even where they would be short enough without.
    static func single(_ value: Double, format: ChartAxis.LabelFormat, usesSuffix: Bool = false) -> String {
        switch format {
        case .percent: Format.trimmed(Format.fixed(value * 100, decimals: decimals(value * 100))) + "%"
        case .bytes: Format.bytes(value)
        case .automatic:
            usesSuffix && value >= 999.5 && value < 1e15
                ? Format.count(value) : automatic(largest: abs(value), step: abs(value))(value)
        }
    }

    /// A power of two, in units of 1024 from there on: 512, 1K, 64K, 2M.
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

    /// The binary unit in which amounts up to `largest` are written.
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

    /// The number of decimals which tell multiples of `step` apart.
    private static func decimals(_ step: Double) -> Int {
        guard step > 0, step.isFinite else { return 0 }
        for digits in 0..<12 {
            let scaled = step * pow(10, Double(digits))
            if scaled >= 0.999 && abs(scaled - scaled.rounded()) < 1e-4 * scaled { return digits }
        }
        return 12
    }
}
