/// The meaning of unquoted YAML texts by the core schema of YAML 1.2.
///
/// Only true and false are truth values (not yes, no, on and off), and 3e-4 is a number.
enum YAMLScalar {
    /// The value of an unquoted text; nil for a number outside the range of numbers.
    static func resolve(_ text: String) -> SettingsTree? {
        switch text {
        case "", "~", "null", "Null", "NULL": return .null
        case "true", "True", "TRUE": return .bool(true)
        case "false", "False", "FALSE": return .bool(false)
        case ".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF": return .double(.infinity)
        case "-.inf", "-.Inf", "-.INF": return .double(-.infinity)
        case ".nan", ".NaN", ".NAN": return .double(.nan)
        default: break
        }
        let bytes = Array(text.utf8)
        if text.hasPrefix("0x"), bytes.count > 2, bytes.dropFirst(2).allSatisfy(isHexadecimal) {
            return Int(text.dropFirst(2), radix: 16).map { .int($0) }
        }
        if text.hasPrefix("0o"), bytes.count > 2, bytes.dropFirst(2).allSatisfy(isOctal) {
            return Int(text.dropFirst(2), radix: 8).map { .int($0) }
        }
        guard let form = numberForm(bytes) else { return .string(text) }
        // Swift does not read ".5" and "5." everywhere; a zero on either side does not change the value.
        if form == .integer, let value = Int(text) { return .int(value) }
        guard let value = Double(completed(text)), value.isFinite else { return nil }
        return .double(value)
    }

    private enum NumberForm {
        case integer
        case decimal
    }

    /// The form of a number, or nil for everything else.
    ///
    ///     [-+]? ( . digits | digits ( . digits? )? ) ( [eE] [-+]? digits )?
    private static func numberForm(_ bytes: [UInt8]) -> NumberForm? {
        var rest = bytes[...]
        func takeDigits() -> Int {
            let digits = rest.prefix(while: isDecimal).count
            rest = rest.dropFirst(digits)
            return digits
        }
        func take(_ characters: String) -> Bool {
            guard let first = rest.first, characters.utf8.contains(first) else { return false }
            rest = rest.dropFirst()
            return true
        }
        _ = take("+-")
        let whole = takeDigits()
        let hasPoint = take(".")
        let fraction = hasPoint ? takeDigits() : 0
        guard whole + fraction > 0 else { return nil }
        var hasExponent = false
        if take("eE") {
            hasExponent = true
            _ = take("+-")
            guard takeDigits() > 0 else { return nil }
        }
        guard rest.isEmpty else { return nil }
        return hasPoint || hasExponent ? .decimal : .integer
    }

    /// The number with a digit on both sides of its point.
    private static func completed(_ number: String) -> String {
        guard let point = number.firstIndex(of: ".") else { return number }
        let whole = number[..<point]
        let fraction = number[number.index(after: point)...]
        let needsWhole = !(whole.last?.isNumber ?? false)
        let needsFraction = !(fraction.first?.isNumber ?? false)
        return whole + (needsWhole ? "0." : ".") + (needsFraction ? "0" : "") + fraction
    }

    private static func isDecimal(_ byte: UInt8) -> Bool { (0x30...0x39).contains(byte) }

    private static func isOctal(_ byte: UInt8) -> Bool { (0x30...0x37).contains(byte) }

    private static func isHexadecimal(_ byte: UInt8) -> Bool {
        isDecimal(byte) || (0x41...0x46).contains(byte) || (0x61...0x66).contains(byte)
    }
}
