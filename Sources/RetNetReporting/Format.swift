import Foundation

/// Short text forms of numbers.
///
/// Not-a-number and infinities become `nan`, `inf` and `-inf`.
public enum Format {
    /// Formats a number of bytes with binary units, for example `3.1 GiB`.
    public static func bytes(_ byteCount: Int) -> String {
        bytes(Double(byteCount))
    }

    /// Formats a possibly fractional number of bytes with binary units, for example `512 MiB`.
    public static func bytes(_ byteCount: Double) -> String {
        guard byteCount.isFinite else { return nonFinite(byteCount) }
        let units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"]
        var value = abs(byteCount)
        var unit = 0
        // 1023.5 would be rounded to "1024" of the smaller unit.
        while value >= 1023.5, unit < units.count - 1 {
            value /= 1024
            unit += 1
        }
        let decimals = unit == 0 || value >= 99.95 ? 0 : (value >= 9.995 ? 1 : 2)
        let sign = byteCount < 0 ? "-" : ""
        return sign + trimmed(fixed(value, decimals: decimals)) + " " + units[unit]
    }

    /// Formats a count with a decimal suffix and three significant digits, for example `12.3k` or `1.35B`.
    public static func count(_ value: Double) -> String {
        guard value.isFinite else { return nonFinite(value) }
        let suffixes = ["", "k", "M", "B", "T"]
        var magnitude = abs(value)
        var suffix = 0
        while magnitude >= 999.5, suffix < suffixes.count - 1 {
            magnitude /= 1000
            suffix += 1
        }
        guard magnitude < 1e6 else { return number(value, significantDigits: 3) }
        let decimals = magnitude >= 99.95 ? 0 : (magnitude >= 9.995 ? 1 : 2)
        let text = trimmed(fixed(magnitude, decimals: decimals))
        return (value < 0 && text != "0" ? "-" : "") + text + suffixes[suffix]
    }

    /// Formats an integer count with a decimal suffix, for example `12.3k`.
    public static func count(_ value: Int) -> String {
        count(Double(value))
    }

    /// Formats an integer with thousands separators, for example `1,234,567`.
    public static func grouped(_ value: Int) -> String {
        var digits = Array(String(value.magnitude))
        var position = digits.count - 3
        while position > 0 {
            digits.insert(",", at: position)
            position -= 3
        }
        return (value < 0 ? "-" : "") + String(digits)
    }

    /// Formats a number with a fixed count of significant digits, for example `1.234` or `3.00e-04`.
    ///
    /// Numbers below 0.001 or with more than seven whole digits are written with an exponent.
    public static func number(_ value: Double, significantDigits: Int = 4) -> String {
        guard value.isFinite else { return nonFinite(value) }
        let digits = min(max(significantDigits, 1), 17)
        if value == 0 { return fixed(0, decimals: digits - 1) }
        let exponent = log10(abs(value)).rounded(.down)
        if exponent < -3 || exponent > 6 {
            return String(format: "%.\(digits - 1)e", value)
        }
        return fixed(value, decimals: max(0, digits - 1 - Int(exponent)))
    }

    /// Formats a number with a fixed count of decimals, always with a point.
    public static func fixed(_ value: Double, decimals: Int) -> String {
        guard value.isFinite else { return nonFinite(value) }
        let text = String(format: "%.\(min(max(decimals, 0), 17))f", value)
        // Without the minus sign of a number rounded to zero ("-0.00").
        let isZero = text.allSatisfy { "-0.".contains($0) }
        return isZero && text.hasPrefix("-") ? String(text.dropFirst()) : text
    }

    /// Formats a fraction of one as a percentage, for example `42.0%` for `0.42`.
    public static func percent(_ fraction: Double, decimals: Int = 1) -> String {
        fixed(fraction * 100, decimals: decimals) + "%"
    }

    /// Formats a duration in seconds in suitable units, for example `2 h 03 min`.
    public static func duration(seconds: Double) -> String {
        guard seconds.isFinite else { return nonFinite(seconds) }
        let magnitude = min(abs(seconds), 1e15)
        let sign = seconds < 0 ? "-" : ""
        if magnitude == 0 { return "0 s" }
        if magnitude < 999.5e-6 { return sign + number(magnitude * 1e6, significantDigits: 3) + " us" }
        if magnitude < 0.9995 { return sign + number(magnitude * 1e3, significantDigits: 3) + " ms" }
        if magnitude < 59.95 { return sign + fixed(magnitude, decimals: 1) + " s" }
        let whole = Int(magnitude.rounded())
        if whole < 3600 { return "\(sign)\(whole / 60) min \(padded(whole % 60)) s" }
        if whole < 86_400 { return "\(sign)\(whole / 3600) h \(padded(whole / 60 % 60)) min" }
        return "\(sign)\(whole / 86_400) d \(padded(whole / 3600 % 24)) h"
    }

    /// Formats a duration in seconds as a clock, for example `12:03`, `1:02:03` or `2d 03:04:05`.
    public static func clock(seconds: Double) -> String {
        guard seconds.isFinite else { return "--:--" }
        let whole = Int(min(max(seconds, 0), 1e12))
        let hours = whole / 3600 % 24
        let tail = "\(padded(whole / 60 % 60)):\(padded(whole % 60))"
        if whole >= 86_400 { return "\(whole / 86_400)d \(padded(hours)):\(tail)" }
        return hours > 0 ? "\(hours):\(tail)" : tail
    }

    /// Returns a number without trailing zeros after the point.
    package static func trimmed(_ text: String) -> String {
        guard text.contains(".") else { return text }
        var result = text
        while result.hasSuffix("0") { result.removeLast() }
        if result.hasSuffix(".") { result.removeLast() }
        return result
    }

    private static func nonFinite(_ value: Double) -> String {
        value.isNaN ? "nan" : (value < 0 ? "-inf" : "inf")
    }

    private static func padded(_ value: Int) -> String {
        value < 10 ? "0\(value)" : String(value)
    }
}
