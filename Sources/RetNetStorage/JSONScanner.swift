/// A strict reader of JSON (RFC 8259) that walks over the bytes once and refuses duplicate keys.
///
/// Foundation's parser keeps one of two equal keys in silence, and does not say where it stopped.
struct JSONScanner {
    private static let maximumDepth = 64
    let bytes: UnsafeRawBufferPointer
    var offset = 0
    private var depth = 0

    /// Reads `bytes`, which must outlive the scanner.
    init(_ bytes: UnsafeRawBufferPointer) {
        self.bytes = bytes
    }

    /// The next byte that is not white space, or `nil` at the end; it is not consumed.
    mutating func peek() -> UInt8? {
        while offset < bytes.count {
            switch bytes[offset] {
            case 0x20, 0x09, 0x0A, 0x0D: offset += 1
            case let byte: return byte
            }
        }
        return nil
    }

    /// Reads an object, calling `member` for each key with the scanner before the value.
    mutating func readObject(_ member: (inout JSONScanner, String) throws -> Void) throws {
        guard peek() == UInt8(ascii: "{") else { throw unexpected("an object") }
        try enter()
        defer { depth -= 1 }
        var keys: Set<String> = []
        if peek() == UInt8(ascii: "}") {
            offset += 1
            return
        }
        while true {
            guard peek() == UInt8(ascii: "\"") else { throw syntax("a key in quotes is missing") }
            let keyOffset = offset
            let key = try readString()
            guard keys.insert(key).inserted else {
                throw JSONFault.duplicateKey(key: key, byteOffset: keyOffset)
            }
            guard peek() == UInt8(ascii: ":") else { throw syntax("\":\" is missing") }
            offset += 1
            try member(&self, key)
            if try endsAfterValue(UInt8(ascii: "}")) { return }
        }
    }

    /// Reads an array, calling `element` with the scanner before each element.
    mutating func readArray(_ element: (inout JSONScanner) throws -> Void) throws {
        guard peek() == UInt8(ascii: "[") else { throw unexpected("an array") }
        try enter()
        defer { depth -= 1 }
        if peek() == UInt8(ascii: "]") {
            offset += 1
            return
        }
        while true {
            try element(&self)
            if try endsAfterValue(UInt8(ascii: "]")) { return }
        }
    }

    /// Reads an integer that a 64-bit signed one can hold.
    mutating func readInteger() throws -> Int {
        let start = try skipNumber()
        var value = 0
        let isNegative = bytes[start] == UInt8(ascii: "-")
        for index in (isNegative ? start + 1 : start)..<offset {
            let byte = bytes[index]
            guard byte >= UInt8(ascii: "0"), byte <= UInt8(ascii: "9") else {
                throw JSONFault.wrongKind(byteOffset: start, reason: "expected an integer")
            }
            let digit = Int(byte - UInt8(ascii: "0"))
            let (product, productOverflows) = value.multipliedReportingOverflow(by: 10)
            let (next, nextOverflows) =
                isNegative
                ? product.subtractingReportingOverflow(digit) : product.addingReportingOverflow(digit)
            guard !productOverflows, !nextOverflows else {
                throw JSONFault.wrongKind(byteOffset: start, reason: "the integer exceeds 64 bits")
            }
            value = next
        }
        return value
    }

    /// Checks and passes over a value of any kind.
    mutating func skipValue() throws {
        switch peek() {
        case UInt8(ascii: "{"): try readObject { scanner, _ in try scanner.skipValue() }
        case UInt8(ascii: "["): try readArray { try $0.skipValue() }
        case UInt8(ascii: "\""): _ = try readString()
        case UInt8(ascii: "t"): try skipWord("true")
        case UInt8(ascii: "f"): try skipWord("false")
        case UInt8(ascii: "n"): try skipWord("null")
        default: _ = try skipNumber()
        }
    }

    /// Refuses anything but white space up to the end.
    mutating func finish() throws {
        guard peek() == nil else { throw syntax("something follows the end of the value") }
    }

    private mutating func enter() throws {
        // Bounded so that a hostile file cannot exhaust the stack.
        guard depth < Self.maximumDepth else { throw syntax("it is nested too deeply") }
        depth += 1
        offset += 1
    }

    private mutating func endsAfterValue(_ closing: UInt8) throws -> Bool {
        switch peek() {
        case UInt8(ascii: ","):
            offset += 1
            return false
        case closing:
            offset += 1
            return true
        default:
            throw syntax("\",\" or \"\(Character(UnicodeScalar(closing)))\" is missing")
        }
    }

    private mutating func skipWord(_ word: StaticString) throws {
        let length = word.utf8CodeUnitCount
        guard length <= bytes.count - offset,
            (0..<length).allSatisfy({ bytes[offset + $0] == word.utf8Start[$0] })
        else { throw syntax("no value begins like this") }
        offset += length
    }

    /// Checks and passes over a number, and returns where it began.
    private mutating func skipNumber() throws -> Int {
        guard let first = peek() else { throw syntax("the text ends where a value should be") }
        let start = offset
        if first == UInt8(ascii: "-") { offset += 1 }
        let firstDigit = offset
        let digitCount = skipDigits()
        guard digitCount > 0 else {
            throw first == UInt8(ascii: "-") ? syntax("\"-\" without digits") : unexpected("a number")
        }
        guard digitCount == 1 || bytes[firstDigit] != UInt8(ascii: "0") else {
            throw JSONFault.syntax(byteOffset: start, reason: "the number begins with a zero")
        }
        if byte(at: offset) == UInt8(ascii: ".") {
            offset += 1
            guard skipDigits() > 0 else { throw syntax("\".\" without digits") }
        }
        if let byte = byte(at: offset), byte | 0x20 == UInt8(ascii: "e") {
            offset += 1
            if let sign = self.byte(at: offset), sign == UInt8(ascii: "+") || sign == UInt8(ascii: "-") {
                offset += 1
            }
            guard skipDigits() > 0 else { throw syntax("an exponent without digits") }
        }
        return start
    }

    private mutating func skipDigits() -> Int {
        let start = offset
        while let byte = byte(at: offset), byte >= UInt8(ascii: "0"), byte <= UInt8(ascii: "9") {
            offset += 1
        }
        return offset - start
    }

    func byte(at offset: Int) -> UInt8? {
        offset < bytes.count ? bytes[offset] : nil
    }

    func syntax(_ reason: String) -> JSONFault {
        .syntax(byteOffset: offset, reason: offset < bytes.count ? reason : reason + " and the text ends")
    }

    /// The fault for another value than the one wanted: a wrong kind if it is a value at all.
    func unexpected(_ wanted: String) -> JSONFault {
        guard let byte = byte(at: offset) else {
            return .syntax(byteOffset: offset, reason: "the text ends where \(wanted) should be")
        }
        switch byte {
        case UInt8(ascii: "{"), UInt8(ascii: "["), UInt8(ascii: "\""), UInt8(ascii: "-"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "t"), UInt8(ascii: "f"), UInt8(ascii: "n"):
            return .wrongKind(byteOffset: offset, reason: "expected \(wanted)")
        default:
            return .syntax(byteOffset: offset, reason: "expected \(wanted)")
        }
    }
}
