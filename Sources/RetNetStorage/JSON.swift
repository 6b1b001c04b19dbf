/// A refusal of a JSON text; offsets count bytes from the start of the text.
public enum JSONFault: Error, Equatable, CustomStringConvertible {
    /// The text is not UTF-8.
    case notUTF8(byteOffset: Int)
    /// The text is not JSON.
    case syntax(byteOffset: Int, reason: String)
    /// The text is JSON but a value has the wrong kind or is out of range.
    case wrongKind(byteOffset: Int, reason: String)
    /// An object has the same name twice, in the same Unicode scalars.
    case duplicateName(name: String, byteOffset: Int)

    /// The reason to refuse the text, with the byte where the problem is.
    public var description: String {
        switch self {
        case .notUTF8(let offset): "it is not UTF-8 text at byte \(offset)"
        case .syntax(let offset, let reason), .wrongKind(let offset, let reason):
            "it is not valid JSON at byte \(offset): \(reason)"
        case .duplicateName(let name, let offset): "the name '\(name)' occurs twice, again at byte \(offset)"
        }
    }
}

/// A JSON value that is neither an object nor an array.
package enum JSONScalar: Equatable {
    case null
    case bool(Bool)
    /// A number without fraction and exponent that 64 bits can hold.
    case int(Int)
    /// Any other number; always finite.
    case double(Double)
    case string(String)
}

/// A strict reader of JSON (RFC 8259) in one pass over the bytes.
///
/// Foundation's parser silently keeps one of two equal names and does not report positions.
package struct JSONScanner {
    /// Largest nesting of objects and arrays.
    package static let maximumDepth = 64

    /// Position of the next byte.
    package private(set) var offset = 0
    private let bytes: UnsafeRawBufferPointer
    private let depthLimit: Int
    private var depth = 0

    /// Scans `bytes`, which must outlive the scanner, with nesting of at most `depth`; throws `JSONFault.notUTF8`.
    package init(_ bytes: UnsafeRawBufferPointer, depth: Int = JSONScanner.maximumDepth) throws {
        self.bytes = bytes
        depthLimit = min(depth, Self.maximumDepth)
        if let offset = Self.firstInvalidOffset(bytes) { throw JSONFault.notUTF8(byteOffset: offset) }
    }

    // MARK: Values

    /// Returns the next byte that is not white space without consuming it; `nil` at the end.
    package mutating func peek() -> UInt8? {
        while let byte = next {
            switch byte {
            case 0x20, 0x09, 0x0A, 0x0D: offset += 1
            default: return byte
            }
        }
        return nil
    }

    /// Reads an object and calls `member` with each name, before its value.
    package mutating func readObject(_ member: (inout JSONScanner, String) throws -> Void) throws {
        guard peek() == UInt8(ascii: "{") else { throw unexpected("an object") }
        var names: Set<ExactString> = []
        try readItems(closing: "}") { scanner in
            guard scanner.peek() == UInt8(ascii: "\"") else {
                throw scanner.syntax("a name in double quotes is missing")
            }
            let start = scanner.offset
            let name = try scanner.readString()
            guard names.insert(ExactString(name)).inserted else {
                throw JSONFault.duplicateName(name: name, byteOffset: start)
            }
            guard scanner.peek() == UInt8(ascii: ":") else {
                throw scanner.syntax("':' is missing after the name '\(name)'")
            }
            scanner.offset += 1
            try member(&scanner, name)
        }
    }

    /// Reads an array and calls `element` before each element.
    package mutating func readArray(_ element: (inout JSONScanner) throws -> Void) throws {
        guard peek() == UInt8(ascii: "[") else { throw unexpected("an array") }
        try readItems(closing: "]", element)
    }

    /// Reads a value that is neither an object nor an array.
    package mutating func readScalar() throws -> JSONScalar {
        guard let byte = peek() else {
            throw JSONFault.syntax(byteOffset: offset, reason: "the text ends where a value should be")
        }
        switch byte {
        case UInt8(ascii: "\""): return .string(try readString())
        case _ where byte == UInt8(ascii: "-") || Self.isDigit(byte):
            let (start, isInteger) = try skipNumber()
            let text = String(decoding: bytes[start..<offset], as: UTF8.self)
            if isInteger, let value = Int(text) { return .int(value) }
            guard let value = Double(text), value.isFinite else {
                throw JSONFault.wrongKind(
                    byteOffset: start, reason: "the number \(text.prefix(40)) is outside the range of numbers"
                )
            }
            return .double(value)
        default:
            if skip("null") { return .null }
            if skip("true") { return .bool(true) }
            if skip("false") { return .bool(false) }
            throw syntax(
                "this is not a JSON value; texts need double quotes, and NaN and Infinity do not exist")
        }
    }

    /// Reads `Infinity`, `-Infinity` or `NaN`, which Python writes though JSON does not have them; nil for anything else.
    package mutating func readPythonNumber() -> Double? {
        _ = peek()
        if skip("Infinity") { return .infinity }
        if skip("-Infinity") { return -.infinity }
        return skip("NaN") ? .nan : nil
    }

    /// Reads an integer of at most 64 bits.
    package mutating func readInteger() throws -> Int {
        _ = peek()
        let (start, isInteger) = try skipNumber()
        guard isInteger else { throw JSONFault.wrongKind(byteOffset: start, reason: "expected an integer") }
        guard let value = Int(String(decoding: bytes[start..<offset], as: UTF8.self)) else {
            throw JSONFault.wrongKind(byteOffset: start, reason: "the integer exceeds 64 bits")
        }
        return value
    }

    /// Checks and skips a value of any kind.
    package mutating func skipValue() throws {
        switch peek() {
        case UInt8(ascii: "{"): try readObject { scanner, _ in try scanner.skipValue() }
        case UInt8(ascii: "["): try readArray { try $0.skipValue() }
        case let byte? where byte == UInt8(ascii: "-") || Self.isDigit(byte): _ = try skipNumber()
        default: _ = try readScalar()
        }
    }

    /// Skips a byte order mark at the start of the text.
    package mutating func skipByteOrderMark() {
        if offset == 0, bytes.starts(with: [0xEF, 0xBB, 0xBF]) { offset = 3 }
    }

    /// Refuses anything but white space up to the end.
    package mutating func finish() throws {
        guard peek() == nil else { throw syntax("something follows the end of the value") }
    }

    private mutating func readItems(
        closing: Unicode.Scalar, _ item: (inout JSONScanner) throws -> Void
    ) throws {
        // Bounded so that a hostile file cannot exhaust the stack.
        guard depth < depthLimit else {
            throw syntax("objects and arrays are nested more than \(depthLimit) deep")
        }
        depth += 1
        offset += 1
        defer { depth -= 1 }
        if peek() == UInt8(ascii: closing) {
            offset += 1
            return
        }
        while true {
            try item(&self)
            let byte = peek()
            guard byte == UInt8(ascii: ",") || byte == UInt8(ascii: closing) else {
                throw syntax("',' or '\(closing)' is missing")
            }
            offset += 1
            if byte == UInt8(ascii: closing) { return }
        }
    }

    // MARK: Numbers and words

    /// Checks and skips a number; returns its start and true if it has neither fraction nor exponent.
    private mutating func skipNumber() throws -> (start: Int, isInteger: Bool) {
        let start = offset
        let isNegative = skip("-")
        let firstDigit = next
        let digitCount = skipDigits()
        guard digitCount > 0 else { throw isNegative ? syntax("'-' without digits") : unexpected("a number") }
        guard digitCount == 1 || firstDigit != UInt8(ascii: "0") else {
            throw JSONFault.syntax(byteOffset: start, reason: "the number begins with a zero")
        }
        var isInteger = true
        if skip(".") {
            isInteger = false
            guard skipDigits() > 0 else { throw syntax("'.' without digits") }
        }
        if skip("e") || skip("E") {
            isInteger = false
            if !skip("+") { _ = skip("-") }
            guard skipDigits() > 0 else { throw syntax("an exponent without digits") }
        }
        return (start, isInteger)
    }

    private mutating func skipDigits() -> Int {
        let start = offset
        while let byte = next, Self.isDigit(byte) { offset += 1 }
        return offset - start
    }

    private static func isDigit(_ byte: UInt8) -> Bool {
        (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
    }

    private mutating func skip(_ word: StaticString) -> Bool {
        let length = word.utf8CodeUnitCount
        guard length <= bytes.count - offset,
            (0..<length).allSatisfy({ bytes[offset + $0] == word.utf8Start[$0] })
        else { return false }
        offset += length
        return true
    }

    // MARK: Texts

    /// Reads a text in double quotes.
    package mutating func readString() throws -> String {
        guard peek() == UInt8(ascii: "\"") else { throw unexpected("a text in double quotes") }
        offset += 1
        let start = offset
        // Filled only from the first escape; texts without escapes are taken from the bytes directly.
        var unescaped: [UInt8]?
        while let byte = next {
            switch byte {
            case UInt8(ascii: "\""):
                let end = offset
                offset += 1
                return unescaped.map { String(decoding: $0, as: UTF8.self) }
                    ?? String(decoding: bytes[start..<end], as: UTF8.self)
            case UInt8(ascii: "\\"):
                var text = unescaped ?? Array(bytes[start..<offset])
                unescaped = nil
                offset += 1
                try readEscape(into: &text)
                unescaped = text
            case 0..<0x20:
                throw syntax("a text contains a control character; write it as an escape such as \\n")
            default:
                unescaped?.append(byte)
                offset += 1
            }
        }
        throw syntax("the closing double quote of a text is missing")
    }

    private mutating func readEscape(into text: inout [UInt8]) throws {
        if let reason = JSONEscape.read(bytes, at: &offset, into: &text) { throw syntax(reason) }
    }

    // MARK: Bytes and faults

    private var next: UInt8? { offset < bytes.count ? bytes[offset] : nil }

    private func syntax(_ reason: String) -> JSONFault {
        .syntax(byteOffset: offset, reason: next == nil ? reason + " and the text ends" : reason)
    }

    /// The fault of a value other than the expected one: a wrong kind if it begins like a value.
    private func unexpected(_ expected: String) -> JSONFault {
        guard let byte = next else {
            return .syntax(byteOffset: offset, reason: "the text ends where \(expected) should be")
        }
        return "{[\"-0123456789tfn".utf8.contains(byte)
            ? .wrongKind(byteOffset: offset, reason: "expected \(expected)")
            : .syntax(byteOffset: offset, reason: "expected \(expected)")
    }

    /// Returns the offset of the first byte that is not valid UTF-8; `nil` if all are valid.
    private static func firstInvalidOffset(_ bytes: UnsafeRawBufferPointer) -> Int? {
        var offset = 0
        while offset < bytes.count {
            // Headers are nearly all ASCII: eight bytes at a time.
            if bytes.count - offset >= 8,
                bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self) & 0x8080_8080_8080_8080 == 0
            {
                offset += 8
                continue
            }
            guard let length = sequenceLength(bytes, at: offset) else { return offset }
            offset += length
        }
        return nil
    }

    /// Returns the byte count of the valid sequence at `offset` (Unicode, table 3-7), or `nil`.
    private static func sequenceLength(_ bytes: UnsafeRawBufferPointer, at offset: Int) -> Int? {
        let first = bytes[offset]
        let length: Int
        var second: ClosedRange<UInt8> = 0x80...0xBF
        switch first {
        case 0x00...0x7F: return 1
        case 0xC2...0xDF: length = 2
        case 0xE0: (length, second) = (3, 0xA0...0xBF)
        case 0xED: (length, second) = (3, 0x80...0x9F)
        case 0xE1...0xEF: length = 3
        case 0xF0: (length, second) = (4, 0x90...0xBF)
        case 0xF1...0xF3: length = 4
        case 0xF4: (length, second) = (4, 0x80...0x8F)
        default: return nil
        }
        guard length <= bytes.count - offset, second.contains(bytes[offset + 1]) else { return nil }
        for index in 2..<max(length, 2) {
            guard (0x80...0xBF).contains(bytes[offset + index]) else { return nil }
        }
        return length
    }
}
