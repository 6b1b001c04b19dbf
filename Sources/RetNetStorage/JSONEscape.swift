/// The escapes of texts in JSON.
package enum JSONEscape {
    /// Appends the character of the escape behind a backslash, and moves the offset behind it.
    ///
    /// Returns the reason where it is none, with the offset at the byte that is wrong.
    package static func read(_ bytes: UnsafeRawBufferPointer, at offset: inout Int, into text: inout [UInt8])
        -> String?
    {
        guard offset < bytes.count else { return "an escape is incomplete" }
        let byte = bytes[offset]
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): text.append(byte)
        case UInt8(ascii: "b"): text.append(0x08)
        case UInt8(ascii: "f"): text.append(0x0C)
        case UInt8(ascii: "n"): text.append(0x0A)
        case UInt8(ascii: "r"): text.append(0x0D)
        case UInt8(ascii: "t"): text.append(0x09)
        case UInt8(ascii: "u"):
            offset += 1
            return readCode(bytes, at: &offset, into: &text)
        default: return "an unknown escape; a backslash must be followed by one of \" \\ / b f n r t u"
        }
        offset += 1
        return nil
    }

    /// Appends the character of a code, or of two that are a surrogate pair.
    private static func readCode(
        _ bytes: UnsafeRawBufferPointer, at offset: inout Int, into text: inout [UInt8]
    ) -> String? {
        let digits = "a \\u escape needs four hexadecimal digits"
        guard var code = hexadecimal(bytes, at: &offset) else { return digits }
        if (0xD800..<0xDC00).contains(code), bytes.count - offset >= 2,
            bytes[offset] == UInt8(ascii: "\\"), bytes[offset + 1] == UInt8(ascii: "u")
        {
            offset += 2
            guard let low = hexadecimal(bytes, at: &offset) else { return digits }
            guard (0xDC00..<0xE000).contains(low) else { return "half of a surrogate pair" }
            code = 0x10000 + (code - 0xD800) << 10 + (low - 0xDC00)
        }
        guard let scalar = Unicode.Scalar(code) else {
            return "half of a surrogate pair; \\ud800 to \\udfff come in pairs"
        }
        text.append(contentsOf: UTF8.encode(scalar) ?? UTF8.encodedReplacementCharacter)
        return nil
    }

    private static func hexadecimal(_ bytes: UnsafeRawBufferPointer, at offset: inout Int) -> UInt32? {
        var value: UInt32 = 0
        for _ in 0..<4 {
            guard offset < bytes.count else { return nil }
            let byte = bytes[offset]
            switch byte {
            case 0x30...0x39: value = value << 4 | UInt32(byte - 0x30)
            case 0x41...0x46: value = value << 4 | UInt32(byte - 0x41 + 10)
            case 0x61...0x66: value = value << 4 | UInt32(byte - 0x61 + 10)
            default: return nil
            }
            offset += 1
        }
        return value
    }
}

extension String {
    /// The text as a JSON text in double quotes, which is also a double-quoted text of YAML.
    ///
    /// Control characters and line separators are escaped, so the result is one line.
    package var jsonQuoted: String {
        var result = "\""
        for scalar in unicodeScalars {
            switch scalar {
            case "\"": result += "\\\""
            case "\\": result += "\\\\"
            case "\n": result += "\\n"
            case "\r": result += "\\r"
            case "\t": result += "\\t"
            case "\u{0}"..<"\u{20}", "\u{7F}"..."\u{9F}", "\u{2028}", "\u{2029}", "\u{FEFF}", "\u{FFFE}",
                "\u{FFFF}":
                let digits = String(scalar.value, radix: 16)
                result += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result + "\""
    }
}
