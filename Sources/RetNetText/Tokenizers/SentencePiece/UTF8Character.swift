/// Characters in UTF-8 as SentencePiece sees them.
enum UTF8Character {
    /// The bytes of the valid character at an index, or nil.
    static func length(_ text: UnsafeBufferPointer<UInt8>, at index: Int) -> Int? {
        let length = leadLength(text[index])
        guard length > 1 else { return text[index] < 0x80 ? 1 : nil }
        guard index + length <= text.count else { return nil }
        let bytes = UnsafeRawBufferPointer(UnsafeBufferPointer(rebasing: text[index..<index + length]))
        return UTF8Validator.firstInvalidOffset(in: bytes) == nil ? length : nil
    }

    /// The bytes of a character by its first byte alone; 1 for bytes that begin none.
    @inline(__always) static func leadLength(_ byte: UInt8) -> Int {
        byte < 0xC0 ? 1 : byte < 0xE0 ? 2 : byte < 0xF0 ? 3 : 4
    }
}
