/// A decoder of a stream of bytes that returns text in whole characters (Unicode scalars).
///
/// The bytes of an incomplete character are kept until its rest arrives; invalid bytes become U+FFFD. All
/// pieces together are equal to the text of all bytes decoded at once.
public struct UTF8StreamDecoder: Sendable {
    private var pending: [UInt8] = []

    /// Creates a decoder.
    public init() {}

    /// The number of bytes kept for the next character, at most three.
    public var pendingByteCount: Int { pending.count }

    /// Takes bytes and returns the text that is now complete, possibly empty.
    public mutating func append(_ bytes: some Sequence<UInt8>) -> String {
        pending.append(contentsOf: bytes)
        let keptByteCount = Self.incompleteSuffixByteCount(pending)
        let text = String(decoding: pending.dropLast(keptByteCount), as: UTF8.self)
        pending.removeFirst(pending.count - keptByteCount)
        return text
    }

    /// Returns the bytes kept as U+FFFD and resets the decoder.
    public mutating func finish() -> String {
        defer { pending = [] }
        return String(decoding: pending, as: UTF8.self)
    }

    /// Returns the length of the longest suffix that is an incomplete valid sequence.
    static func incompleteSuffixByteCount(_ bytes: [UInt8]) -> Int {
        for length in 1...3 where length <= bytes.count {
            guard bytes[bytes.count - length] >= 0xC0 else { continue }
            return bytes.suffix(length).withUnsafeBytes { suffix in
                var validator = UTF8Validator()
                let isPrefix = validator.feed(suffix) == nil && validator.finish() != nil
                return isPrefix ? length : 0
            }
        }
        return 0
    }
}

/// A check of UTF-8 text that comes in pieces (Unicode, table 3-7).
package struct UTF8Validator {
    private var byteOffset = 0
    private var sequenceStart = 0
    private var missingByteCount = 0
    private var lowerBound: UInt8 = 0x80
    private var upperBound: UInt8 = 0xBF

    /// Returns the offset of the first invalid sequence in a whole text, or `nil`.
    package static func firstInvalidOffset(in bytes: UnsafeRawBufferPointer) -> Int? {
        var validator = UTF8Validator()
        return validator.feed(bytes) ?? validator.finish()
    }

    /// Takes a piece and returns the offset, from the start of the text, of an invalid sequence in it.
    mutating func feed(_ bytes: UnsafeRawBufferPointer) -> Int? {
        defer { byteOffset += bytes.count }
        var index = 0
        let count = bytes.count
        while index < count {
            if missingByteCount == 0 {
                // Most text is ASCII: eight bytes at a time.
                while index &+ 8 <= count,
                    bytes.loadUnaligned(fromByteOffset: index, as: UInt64.self) & 0x8080_8080_8080_8080 == 0
                {
                    index &+= 8
                }
                guard index < count else { break }
                let byte = bytes[index]
                if byte >= 0x80 {
                    sequenceStart = byteOffset + index
                    guard begin(byte) else { return sequenceStart }
                }
            } else {
                let byte = bytes[index]
                guard byte >= lowerBound, byte <= upperBound else { return sequenceStart }
                (lowerBound, upperBound) = (0x80, 0xBF)
                missingByteCount &-= 1
            }
            index &+= 1
        }
        return nil
    }

    /// Returns the offset of a sequence that the end of the text cuts off, or `nil`.
    func finish() -> Int? {
        missingByteCount > 0 ? sequenceStart : nil
    }

    private mutating func begin(_ byte: UInt8) -> Bool {
        (lowerBound, upperBound) = (0x80, 0xBF)
        switch byte {
        case 0xC2...0xDF: missingByteCount = 1
        case 0xE0...0xEF:
            missingByteCount = 2
            if byte == 0xE0 { lowerBound = 0xA0 }
            if byte == 0xED { upperBound = 0x9F }
        case 0xF0...0xF4:
            missingByteCount = 3
            if byte == 0xF0 { lowerBound = 0x90 }
            if byte == 0xF4 { upperBound = 0x8F }
        default: return false
        }
        return true
    }
}

/// The lengths of UTF-8 characters as SentencePiece defines them.
enum UTF8Character {
    /// Returns the length of the valid character at an index in bytes, or `nil`.
    static func length(_ text: UnsafeBufferPointer<UInt8>, at index: Int) -> Int? {
        let length = leadLength(text[index])
        guard length > 1 else { return text[index] < 0x80 ? 1 : nil }
        guard index + length <= text.count else { return nil }
        let bytes = UnsafeRawBufferPointer(UnsafeBufferPointer(rebasing: text[index..<index + length]))
        return UTF8Validator.firstInvalidOffset(in: bytes) == nil ? length : nil
    }

    /// Returns the length of a character by its first byte; 1 for bytes that do not begin one.
    @inline(__always) static func leadLength(_ byte: UInt8) -> Int {
        byte < 0xC0 ? 1 : byte < 0xE0 ? 2 : byte < 0xF0 ? 3 : 4
    }
}
