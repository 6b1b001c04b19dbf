extension JSONScanner {
    /// Reads a text in quotes.
    mutating func readString() throws -> String {
        guard peek() == UInt8(ascii: "\"") else { throw unexpected("a text in quotes") }
        offset += 1
        let start = offset
        while let byte = byte(at: offset) {
            switch byte {
            case UInt8(ascii: "\""):
                let text = bytes[start..<offset]
                offset += 1
                return String(decoding: text, as: UTF8.self)
            case UInt8(ascii: "\\"):
                return try readEscapedString(from: start)
            case 0..<0x20:
                throw syntax("a control character in a text")
            default:
                offset += 1
            }
        }
        throw syntax("the closing quote is missing")
    }

    private mutating func readEscapedString(from start: Int) throws -> String {
        var text = Array(bytes[start..<offset])
        while let byte = byte(at: offset) {
            offset += 1
            switch byte {
            case UInt8(ascii: "\""):
                return String(decoding: text, as: UTF8.self)
            case UInt8(ascii: "\\"):
                try readEscape(into: &text)
            case 0..<0x20:
                offset -= 1
                throw syntax("a control character in a text")
            default:
                text.append(byte)
            }
        }
        throw syntax("the closing quote is missing")
    }

    private mutating func readEscape(into text: inout [UInt8]) throws {
        guard let byte = byte(at: offset) else { throw syntax("an escape is cut short") }
        offset += 1
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): text.append(byte)
        case UInt8(ascii: "b"): text.append(0x08)
        case UInt8(ascii: "f"): text.append(0x0C)
        case UInt8(ascii: "n"): text.append(0x0A)
        case UInt8(ascii: "r"): text.append(0x0D)
        case UInt8(ascii: "t"): text.append(0x09)
        case UInt8(ascii: "u"):
            var character = try readHexadecimal()
            if (0xD800..<0xDC00).contains(character), self.byte(at: offset) == UInt8(ascii: "\\"),
                self.byte(at: offset + 1) == UInt8(ascii: "u")
            {
                offset += 2
                let low = try readHexadecimal()
                guard (0xDC00..<0xE000).contains(low) else { throw syntax("half of a surrogate pair") }
                character = 0x10000 + (character - 0xD800) << 10 + (low - 0xDC00)
            }
            guard let scalar = UnicodeScalar(character) else { throw syntax("half of a surrogate pair") }
            text.append(contentsOf: UTF8.encode(scalar) ?? UTF8.encodedReplacementCharacter)
        default:
            offset -= 1
            throw syntax("an unknown escape")
        }
    }

    private mutating func readHexadecimal() throws -> UInt32 {
        var value: UInt32 = 0
        for _ in 0..<4 {
            guard let byte = byte(at: offset), byte < 0x80,
                let digit = Character(UnicodeScalar(byte)).hexDigitValue
            else { throw syntax("four hexadecimal digits are missing") }
            value = value << 4 | UInt32(digit)
            offset += 1
        }
        return value
    }
}
