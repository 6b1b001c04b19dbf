/// Checks UTF-8 text that comes in pieces (Unicode, table 3-7).
struct UTF8Validator {
    private var byteOffset = 0
    private var sequenceStart = 0
    private var missingByteCount = 0
    private var lowerBound: UInt8 = 0x80
    private var upperBound: UInt8 = 0xBF

    /// The offset of the first invalid sequence in a whole text, or `nil`.
    static func firstInvalidOffset(in bytes: UnsafeRawBufferPointer) -> Int? {
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

    /// The offset of a sequence that the end of the text cuts off, or `nil`.
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
